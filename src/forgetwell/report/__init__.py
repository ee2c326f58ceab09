"""Run folders as one HTML page and tables."""
