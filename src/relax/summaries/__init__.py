"""Summaries of the result tables: what the figures and the README quote. Reads tables only."""
