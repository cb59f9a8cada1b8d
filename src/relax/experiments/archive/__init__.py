"""Results of long runs as packed tables: packing, checking, stacking, and what they were."""
