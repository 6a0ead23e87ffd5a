"""Tests of the operations that start no server."""
