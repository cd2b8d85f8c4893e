"""The number of groups: candidates, evidence, and a choice that can be argued with."""

from ilk.choose.advise import choose_k
from ilk.choose.ranking import CRITERIA, KChoice, candidates

__all__ = ["CRITERIA", "KChoice", "candidates", "choose_k"]
