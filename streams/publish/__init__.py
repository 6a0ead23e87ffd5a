"""One commit into Kafka: record batches, the transactional producer, the requests that aiokafka lacks."""
