"""Data sets: declared, downloaded, checked, prepared, read."""
