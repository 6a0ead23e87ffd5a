"""How fast segflow is on this machine, against the targets it sets itself: `python -m benchmarks [NAME…]`.

One file a benchmark, each with a `run(bench) -> list[Figure]`. Not part of the tests: a figure below its target fails
nothing, it stands in the table.
"""
