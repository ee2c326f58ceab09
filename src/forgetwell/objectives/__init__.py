"""Terms of unlearning objectives and their algebra."""
