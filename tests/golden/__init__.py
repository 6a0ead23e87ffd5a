"""Journals that releases wrote, with all that they are done again from, and the command that records one."""
