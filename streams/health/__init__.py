"""A worker's health: metrics, health pages, the watchdog."""
