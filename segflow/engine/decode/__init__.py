"""Bytes to one ordered batch of events, and why a record is refused."""
