"""Rows from files, hub sets and the built-in world, and rows as tokens."""
