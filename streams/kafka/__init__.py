"""Kafka as a service: clients, topics, partition readers, the consumer group, where keys lie."""
