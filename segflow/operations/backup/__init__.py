"""Snapshots: every shard's state of one moment in files, and back into Redis."""
