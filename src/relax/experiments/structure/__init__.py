"""Graph structure learning: which variables of a table are behind which, by the score."""
