"""The error that ends the demo."""


class DemoFailedError(Exception):
    """The demo failed. The message says at which step."""
