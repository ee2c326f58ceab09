"""The suites: one module each, found by a scan."""
