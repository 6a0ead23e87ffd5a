"""The demonstration: a purchase history through a real worker, shown live, compared with `segflow run` at the end.

`servers` starts the servers and the worker, `history` sends, `run` follows the changes until all have come. `dashboard`
is what they say: `render` and `view` show it, `summary` prints it. `change_digest` and `reference` are the comparison.
"""
