"""A customer's facts, and the pure models that turn them into labels, one model a file."""
