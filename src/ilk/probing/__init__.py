"""Linear probes: what each frozen layer of a network knows. Beside scoring the only package that sees true labels."""

from ilk.probing.job import probe

__all__ = ["probe"]
