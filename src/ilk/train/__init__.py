"""What every training method does alike: one pass over batches, schedules, what it costs, a state to go on from.

A method owns its epochs; nothing here counts them, writes files or prints.
"""

from ilk.train.cost import Cost, check_memory, choose_bf16, probe, watched
from ilk.train.larc import LARC
from ilk.train.loop import EMA, Batches, Step, cosine, set_lr, train_epoch
from ilk.train.sampling import inverse_sizes, uniform_draw
from ilk.train.state import restore, state_of

__all__ = [
    "EMA",
    "LARC",
    "Batches",
    "Cost",
    "Step",
    "check_memory",
    "choose_bf16",
    "cosine",
    "inverse_sizes",
    "probe",
    "restore",
    "set_lr",
    "state_of",
    "train_epoch",
    "uniform_draw",
    "watched",
]
