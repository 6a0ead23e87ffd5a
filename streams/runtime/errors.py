"""Errors that the user of a command can mend."""


class UsageError(Exception):
    """Something the user can mend; the message says what and how. The command line ends with exit code 2."""
