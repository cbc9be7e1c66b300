"""How fast, how small and how patient the package is, beside the least that could be: `make bench`.

Each table is a command, too: ``python -m benchmarks.import``, ``parse``, ``call``, ``triggers`` and ``adaptive``.
Figures are of fresh processes, and floors of the same run on the same machine, so read the ratios. No test asserts a
time.
"""
