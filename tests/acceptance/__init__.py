"""Whole commands against real servers."""
