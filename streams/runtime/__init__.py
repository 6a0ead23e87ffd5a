"""Below everything: errors for users, backoff, failpoints, memory tuning, connection errors as sentences."""
