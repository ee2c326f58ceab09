"""Language models: loading, scoring, generating, saving."""
