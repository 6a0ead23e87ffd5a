"""Tests of the benchmarks that start no server."""
