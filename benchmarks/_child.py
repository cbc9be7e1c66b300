"""The fresh process in which one function is measured: ``python -m benchmarks._child MODULE:FUNCTION ARGUMENTS``."""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    module, _, function = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    # On a line of its own: others may have printed before.
    print("\n" + json.dumps(result), flush=True)
