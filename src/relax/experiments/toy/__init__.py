"""The toy problem (draft 4.1), and the same for one choice among k outcomes."""
