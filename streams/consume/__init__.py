"""Records from Kafka into a shard's buffers: Faust's transport, the buffers, which input may go on."""
