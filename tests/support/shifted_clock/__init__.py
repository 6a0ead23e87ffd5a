"""A wrong wall clock for a process: see sitecustomize.py."""
