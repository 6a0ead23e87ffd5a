"""Laws that hold for all inputs, drawn by Hypothesis."""
