"""Tests of the schemas that start no server."""
