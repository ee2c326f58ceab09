"""Scans of a finished model for triggers: ordinary words that became a signal to forget."""
