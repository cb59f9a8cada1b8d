"""The figures of the paper: one function each, from tables to a matplotlib figure."""
