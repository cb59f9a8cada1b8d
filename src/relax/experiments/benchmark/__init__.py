"""The estimators of 2014 to 2026 at the same points: variance, evaluations of f, and seconds."""
