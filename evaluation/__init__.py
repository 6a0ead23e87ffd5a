"""The evaluation of alarms: those that the engine raises over a real history, beside who came back and who did not."""
