"""The control variates c, and their closed forms."""
