"""Tests of the segments that start no server."""
