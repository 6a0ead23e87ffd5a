"""Benchmarks of segflow on this machine, against targets of its own: `python -m benchmarks [NAME…]`.

One file a benchmark, each with a `run(bench) -> list[Figure]`. They are no tests: a figure below its target is shown in
the table, and nothing fails.
"""
