"""What crosses the boundary: events in, changes out, settings."""
