"""The one training loop: stages that a method writes, run, reported, left and gone on from alike."""

from ilk.methods.training.loop import Plan, Run, run
from ilk.methods.training.neighbors import NeighborStage
from ilk.methods.training.precision import bf16_or_not
from ilk.methods.training.seeds import seeds_of
from ilk.methods.training.stage import GradientStage, Stage, cut

__all__ = ["GradientStage", "NeighborStage", "Plan", "Run", "Stage", "bf16_or_not", "cut", "run", "seeds_of"]
