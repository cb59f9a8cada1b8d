"""A cost of the user's own, from a file: estimators trained on it, and compared."""
