"""The error of a faulty model, in a module of its own: the command line knows it without importing the models."""


class ModelError(Exception):
    """A model cannot be used; the message names it, for a person who can do something about it."""
