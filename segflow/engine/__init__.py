"""From the bytes of records to published changes, with no Kafka, no clock and no event loop."""
