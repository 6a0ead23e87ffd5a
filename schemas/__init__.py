"""The contract of the boundary: events in, changes out, settings."""
