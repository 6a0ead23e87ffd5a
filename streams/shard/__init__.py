"""One shard: acquire it, commit by commit, release it; small commits of all shards together."""
