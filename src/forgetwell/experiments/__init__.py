"""Whole studies: the demo, grids of runs."""
