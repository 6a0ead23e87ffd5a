"""Change columns to JSON; refused records to dead letters."""
