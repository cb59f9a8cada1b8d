"""Reinforcement learning (published version, section 3.3)."""
