"""For operators: check what was published, move a stopped shard on, make the state again."""
