"""What to ask a model, as data."""
