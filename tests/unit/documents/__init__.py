"""Tests of the documents that start no server."""
