"""The peers that are written in Python, as their users write them, under a Python of their own (python_peers.py)."""
