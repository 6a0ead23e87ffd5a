"""Parts against a real Kafka or a real Redis."""
