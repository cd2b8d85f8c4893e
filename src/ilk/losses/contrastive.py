"""Contrastive losses: two augmented views of an image belong together, copies of other images do not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["nt_xent", "tiled_xent"]


def nt_xent(first: Tensor, second: Tensor, temperature: float = 0.1, *, one_sided: bool = False) -> Tensor:
    """Normalised temperature-scaled cross-entropy of SimCLR.

    Parameters
    ----------
    first, second : Tensor (b, d)
        Projections of two augmented views of the same b images, row by row. They are brought to length 1.
    temperature : float
        Above 0.
    one_sided : bool
        Only the rows of `first` are anchors, as in the published code of SCAN; otherwise those of `second` too.

    Returns
    -------
    Tensor ()
        Mean over the anchors of −log softmax(cosine / temperature) at the other copy, among the 2 b − 1 rows that are
        not the anchor itself. Float32.

    References
    ----------
    T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020.

    Examples
    --------
    >>> round(float(nt_xent(torch.eye(2), torch.eye(2), 1.0)), 4)  # log(e + 2) - 1
    0.5514
    """
    b = len(first)
    rows = functional.normalize(torch.cat([first, second]).float(), dim=1)
    anchors = rows[:b] if one_sided else rows
    logits = anchors @ rows.T / temperature
    at = torch.arange(len(anchors), device=rows.device)
    logits = logits.index_put((at, at), logits.new_tensor(-torch.inf))
    return functional.cross_entropy(logits, (at + b) % (2 * b))


def tiled_xent(
    features: Tensor,
    temperature: float = 0.1,
    *,
    normalize: bool = False,
    column_shift: bool = True,
    kernel_gradient: bool = True,
) -> Tensor:
    """Contrastive loss of the Keras example, in which an image is its own positive too.

    Parameters
    ----------
    features : Tensor (2 b, d)
        Projections: first copies of b images, then second copies in the same order.
    temperature : float
        Above 0.
    normalize : bool
        Bring the rows to length 1; the example does not.
    column_shift : bool
        Subtract the greatest similarity of row i from *column* i, as the example does. This changes the loss.
    kernel_gradient : bool
        The targets of a row sum to 2. TensorFlow's kernel gives p − t as the gradient of such a row's logits, not
        2 p − t. True: that gradient; False: the true one. The value is the same.

    Returns
    -------
    Tensor ()
        Mean over the rows; float32. At its least, 2 log 2.

    Examples
    --------
    >>> x = torch.zeros(4, 3)
    >>> round(float(tiled_xent(x)), 4)  # 2 log 4
    2.7726
    """
    rows = features.float()
    if normalize:
        rows = functional.normalize(rows, dim=1)
    logits = rows @ rows.T / temperature
    if column_shift:
        logits = logits - logits.amax(1)
    n = len(rows)
    targets = torch.eye(n // 2, device=rows.device).tile(2, 2)
    loss = -(targets * logits.log_softmax(1)).sum(1)
    if kernel_gradient:
        surrogate = logits.logsumexp(1) - (targets * logits).sum(1)  # its gradient is p - t
        loss = surrogate + (loss - surrogate).detach()
    return loss.mean()
