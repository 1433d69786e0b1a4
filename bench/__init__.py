"""Benchmarks: each module is a command that prints one JSON line per measurement and a readable table.

Ratios to a baseline of the same run are what is compared; machines are noisy. Not timed tests. Each knows ``--small``:
as little as shows that it still works, which is what the tests run.
"""
