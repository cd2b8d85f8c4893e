"""SGD whose learning rate adapts to every layer: for very large batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LARC"]


class LARC(torch.optim.SGD):
    """SGD with momentum and layer-wise adaptive rates.

    Parameters
    ----------
    parameters : iterable of nn.Parameter, or of groups
    lr, momentum, weight_decay : float
    trust : float
        The rate of a tensor of weights p with the gradient g is ``lr · trust · ‖p‖ / (‖g‖ + weight_decay · ‖p‖)``.

    Notes
    -----
    A tensor whose norm, or whose gradient's norm, is 0 takes a plain step. The rate is not bounded by `lr` ("scale" and
    not "clip").

    References
    ----------
    Y. You, I. Gitman, B. Ginsburg, "Large Batch Training of Convolutional Networks", 2017.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.trust = trust

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Scale the gradients, and let SGD do the rest without a weight decay of its own."""
        decays = [float(group["weight_decay"]) for group in self.param_groups]
        try:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = 0.0
                for p in group["params"]:
                    if p.grad is not None:
                        p.grad = self._scaled(p, p.grad, decay)
            return super().step(closure)
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay

    def _scaled(self, p: Tensor, grad: Tensor, decay: float) -> Tensor:
        norm, slope = torch.linalg.vector_norm(p), torch.linalg.vector_norm(grad)
        rate = self.trust * norm / (slope + decay * norm + 1e-8)
        return torch.where((norm > 0) & (slope > 0), (grad + decay * p) * rate, grad)
