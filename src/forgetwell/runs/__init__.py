"""Run folders and the jobs that fill them."""
