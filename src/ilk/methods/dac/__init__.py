"""Deep adaptive clustering (DAC)."""

from ilk.methods.dac.estimator import DAC

__all__ = ["DAC"]
