"""The heads of TEMI: many at once, each with a teacher that is its own moving average."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["TEMIHeads", "TEMINet"]


def _drawn(shape: tuple[int, ...], generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02, generator=generator))


class TEMIHeads(nn.Module):
    """h heads at once: width – hidden – GELU – bottleneck – length 1 – k directions, each with a length of its own.

    Parameters
    ----------
    width, k, count : int
    hidden : int
        0: no hidden layer; the features themselves are brought to length 1.
    bottleneck : int
    generator : torch.Generator
    """

    def __init__(
        self, width: int, k: int, count: int, *, hidden: int, bottleneck: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.hidden = bool(hidden)
        if hidden:
            self.first = _drawn((count, width, hidden), generator)
            self.first_bias = nn.Parameter(torch.zeros(count, 1, hidden))
            self.second = _drawn((count, hidden, bottleneck), generator)
            self.second_bias = nn.Parameter(torch.zeros(count, 1, bottleneck))
        inner = bottleneck if hidden else width
        bound = 1 / math.sqrt(inner)
        self.directions = nn.Parameter(torch.empty(count, inner, k).uniform_(-bound, bound, generator=generator))
        self.lengths = nn.Parameter(torch.ones(count, 1, k))

    def forward(self, rows: Tensor) -> Tensor:
        """Return logits (b, h, k) of features (b, width)."""
        last = functional.normalize(self.directions, dim=1) * self.lengths
        if not self.hidden:
            h, width, k = last.shape
            flat = last.transpose(0, 1).reshape(width, h * k)
            return (functional.normalize(rows, dim=-1) @ flat).view(len(rows), h, k)
        inner = functional.gelu(rows @ self.first + self.first_bias) @ self.second + self.second_bias
        return (functional.normalize(inner, dim=-1) @ last).transpose(0, 1)

    def last_layer(self) -> list[nn.Parameter]:
        """Return the parameters behind the hidden layers; none where there are no such layers."""
        return [self.directions, self.lengths] if self.hidden else []


class TEMINet(nn.Module):
    """Student heads, their teacher, and which of the teacher's heads count.

    Attributes
    ----------
    student, teacher : TEMIHeads
    marginal : Tensor (h, k)
        How often the teacher uses each group.
    chosen : Tensor (h,) bool
        Heads that count.
    order : Tensor (h, k) int64
        The group of each head that stands for group g.
    """

    marginal: Tensor
    chosen: Tensor
    order: Tensor

    def __init__(self, heads: TEMIHeads, temperature: float) -> None:
        super().__init__()
        self.student = heads
        self.teacher = copy.deepcopy(heads).requires_grad_(False)
        self.temperature = temperature
        count, _, k = heads.directions.shape
        self.register_buffer("marginal", torch.full((count, k), 1 / k))
        self.register_buffer("chosen", torch.arange(count) == 0)
        self.register_buffer("order", torch.arange(k).repeat(count, 1))

    def taught(self, rows: Tensor) -> Tensor:
        """Return the probabilities (b, h, k) of the teacher; no gradient goes there."""
        with torch.no_grad():
            logits: Tensor = self.teacher(rows) / self.temperature
            return logits.softmax(-1)

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        """Move the teacher towards the student, by 1 − `momentum` of the way."""
        for mean, now in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            mean.lerp_(now, 1 - momentum)

    def probabilities(self, rows: Tensor) -> Tensor:
        """Return group probabilities (b, k): the mean of the heads that count, their groups in one order."""
        heads = self.taught(rows)[:, self.chosen]
        order = self.order[self.chosen]
        mean: Tensor = heads.gather(2, order.expand(len(heads), *order.shape)).mean(1)
        return mean
