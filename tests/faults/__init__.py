"""Faults injected into real Kafka, real Redis and real workers; the outcome is compared with the oracle."""
