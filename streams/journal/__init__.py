"""`segments.journal`: entries, reading inputs again, replaying commits."""
