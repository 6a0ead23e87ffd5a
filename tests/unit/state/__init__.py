"""Tests of the state that start no server."""
