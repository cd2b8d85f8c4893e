"""Until the methods have moved: see `ilk.methods.reporter`."""

from ilk.methods.reporter import Reporter as Stages

__all__ = ["Stages"]
