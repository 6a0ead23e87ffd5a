"""What is wrong with a model: a class of its own, so that the command line knows it without importing the models."""


class ModelError(Exception):
    """A model cannot be used; the message names it, for a person who can do something about it."""
