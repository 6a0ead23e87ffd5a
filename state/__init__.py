"""The state: the customer record, the shard's head, and the stores that keep them."""
