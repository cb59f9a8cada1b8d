"""The problems of the paper: their costs, parameters and training runs."""
