"""What trainings have in common below the loop: schedules, averages, what a step costs, a state to go on from.

The loop itself is `ilk.methods.training`; nothing here counts epochs, writes files or prints.
"""

from ilk.train.averaging import EMA
from ilk.train.cost import Cost, Step, check_memory, choose_bf16, probe
from ilk.train.larc import LARC
from ilk.train.sampling import inverse_sizes, uniform_draw
from ilk.train.schedules import cosine, set_lr
from ilk.train.state import restore, state_of

__all__ = [
    "EMA",
    "LARC",
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
    "uniform_draw",
]
