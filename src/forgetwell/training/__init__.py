"""The one training loop and what it draws from."""
