"""The estimators: the one formula (`formula.py`) and one small file for each name."""
