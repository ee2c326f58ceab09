"""Row metrics, set metrics and their uncertainty."""
