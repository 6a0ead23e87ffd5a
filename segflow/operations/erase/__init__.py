"""Erasing a customer, followed until the last copy in reach is gone."""
