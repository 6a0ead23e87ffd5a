"""The demo: a purchase history through a real worker, shown live, and compared with `segflow run` at the end.

`servers` starts the servers and the worker, `history` sends the events, and `run` follows the changes until all have
come. `dashboard` is the state of the picture: `render` and `view` show it, `summary` puts it into words.
`change_digest` and `reference` are the comparison.
"""
