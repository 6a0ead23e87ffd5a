"""Tests of the streams that start no server."""
