"""The estimators by name, for figures, tables and claims. Light to import."""

# As in `relax.estimators.reparameterization.DECOMPOSITIONS`; a test holds them equal.
LABELS = {
    "score_function": "score function",
    "generalised": "generalised",
    "implicit": "implicit",
    "recursive": "recursive",
    "lax": "LAX",
    "implicit_lax": "implicit with LAX's control variate",
    "score_recursive": "score function with the recursion's control variate",
}
LEARNED = ("recursive", "lax", "implicit_lax", "score_recursive")  # those with a c
# Of a cost that may be differentiated, and of a black box.
DIFFERENTIABLE = ("score_function", "generalised", "implicit", "recursive", "lax", "implicit_lax")
BLACK_BOX = ("score_function", "score_recursive", "lax")
TERMS = ("reparameterization", "correction", "recursion")
