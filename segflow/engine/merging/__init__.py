"""Two customers who become one (`alias`): in a batch, in the ledger of shard 0, in the store."""
