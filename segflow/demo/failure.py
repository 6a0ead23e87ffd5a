"""What the demo cannot go on without."""


class DemoFailedError(Exception):
    """The demo failed; the message says at what."""
