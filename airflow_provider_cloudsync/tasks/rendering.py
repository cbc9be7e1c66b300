"""Values of templated fields after rendering: literal text of the DAG file is restored.

``render_template_as_native_obj`` evaluates every text as a Python literal, templates or not: ``"1_000"`` becomes the
number 1000, ``"0x10"`` 16 and ``"None"`` None.
"""

from __future__ import annotations

import ast
from typing import Any

from airflow_provider_cloudsync.api.parameters import is_literal


def as_written(value: Any, written: Any) -> Any:
    """Return a rendered value in which literal text of the DAG file is unchanged.

    :param value: value after rendering.
    :param written: value in the DAG file.
    """
    if is_literal(written):
        return written if _is_native(value, written) else value
    if isinstance(written, list | tuple) and isinstance(value, list | tuple) and len(written) == len(value):
        parts = [as_written(part, before) for part, before in zip(value, written, strict=True)]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(written, dict) and isinstance(value, dict):
        return {key: as_written(part, written.get(key)) for key, part in value.items()}
    return value


def _is_native(value: Any, text: str) -> bool:
    """Return whether native rendering turns a text into this value."""
    try:
        # Parsed first, as Jinja does: a leading blank is an error then.
        native = ast.literal_eval(ast.parse(text, mode="eval"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return type(native) is type(value) and repr(native) == repr(value)
