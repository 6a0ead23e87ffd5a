"""The running worker: Kafka in and out, shards and their commits, health. The engine in between knows no Kafka."""
