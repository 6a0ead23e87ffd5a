"""How a worker is: metrics, health pages, the watchdog."""
