"""What several test files share: builders of events, servers, commands, polls."""
