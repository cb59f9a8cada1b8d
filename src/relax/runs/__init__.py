"""What every job shares: configuration, settings, logs, states to resume from, tables."""
