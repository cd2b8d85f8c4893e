"""A fitted model as data, and back."""
