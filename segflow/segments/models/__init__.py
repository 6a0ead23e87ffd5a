"""The models, one dimension a file: a label from facts, and the moment at which silence changes it."""
