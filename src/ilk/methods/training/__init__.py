"""What trained methods share about their epochs."""
