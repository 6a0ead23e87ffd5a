"""What segflow promises, shown."""
