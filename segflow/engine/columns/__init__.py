"""The shapes that travel: events, changes, merge messages and text, put together in columns."""
