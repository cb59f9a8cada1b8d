"""Exact answers for small problems: enumeration, quadrature, the optimal surrogate."""
