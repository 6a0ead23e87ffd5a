"""Is the alarm any good? Alarms of the engine over a real history, beside who really came back."""
