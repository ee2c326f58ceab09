"""Screens, a module each; found by a scan of this package."""
