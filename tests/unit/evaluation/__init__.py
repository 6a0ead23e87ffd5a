"""Tests of the evaluation that start no server."""
