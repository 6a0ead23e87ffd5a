"""One way of dividing customers a file: a label from facts, and the moment at which silence changes it."""
