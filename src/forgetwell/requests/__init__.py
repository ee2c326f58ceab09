"""All that touches the untrusted request: attacks on it, screens, repairs."""
