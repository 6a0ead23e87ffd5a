"""The demonstration: a purchase history through a real worker, watched, and compared with `segflow run` at the end.

`stage` starts the servers and the worker, `history` sends, `play` follows the changes until all have come; `board` is
what they say, shown by `scene` and `view` and told by `summary`; `account` and `reference` are the comparison.
"""
