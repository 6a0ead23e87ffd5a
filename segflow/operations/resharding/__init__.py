"""`segflow reshard`: the customers of N shards become those of M."""
