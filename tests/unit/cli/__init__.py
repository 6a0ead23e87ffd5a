"""Tests of the command line that start no server."""
