"""Class probabilities of the images of groups, by the ImageNet classifier that comes with ilk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import encoders
from ilk.data import Encoded, ImageSource
from ilk.encoders import bundled, weights

__all__ = ["Seen", "classified", "sample"]

NETWORK = "tf_efficientnet_lite0"
EACH = 24
"""Images of a group that are looked at where their features are not the network's own: the most central ones."""

MOST = 720
"""Of all groups together: some seconds on two cores."""

_LEAST = 4
_EACH_FREE, _MOST_FREE = 400, 20_000  # where the features are the network's own, and looking costs nothing

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """What a classifier says of m images.

    Attributes
    ----------
    probabilities : (m, classes) float32
    labels : (m,) int64
        Their groups.
    """

    probabilities: Floats
    labels: Ints


def classified(
    encoder: Any,
    source: ImageSource,
    encoded: Encoded,
    labels: Ints,
    distance: Floats,
    *,
    device: str = "auto",
    cache: str | Path | None = None,
) -> Seen | None:
    """Return what the bundled classifier says of images of each group; None where there are too many groups to look at.

    Parameters
    ----------
    encoder : FrozenEncoder or None
        Of the run. Where its features are those that the classifier reads, nothing has to be looked at again; where
        the network is one of several side by side, it is at hand.
    source : ImageSource
    encoded : Encoded
    labels : (m,) int64
        Group of each row of ``encoded.features``; -1 = none.
    distance : (m,) float32
        To the centre of the group.
    device, cache
        As in `ilk.encoders.build`.

    Raises
    ------
    MissingDependency
        The package with the weights is not installed.
    DataError
        It is damaged.
    """
    state = bundled.state(NETWORK)
    weight, bias = state["classifier.weight"].float().numpy(), state["classifier.bias"].float().numpy()
    own = _network(encoder, state)
    if own is not None and own is encoder:
        rows = np.sort(sample(labels, distance, _EACH_FREE, _MOST_FREE))
        return Seen(softmax(np.asarray(encoded.features[rows], np.float32) @ weight.T + bias), labels[rows])
    rows = sample(labels, distance, EACH, MOST)
    if not len(rows):
        return None
    network = own or encoders.build(NETWORK, device=device, cache=cache)
    features, read = encoders.encode_rows(source, encoded.rows[rows], encoded.hashes, network, cache=cache)
    return Seen(softmax(features[read] @ weight.T + bias), labels[rows][read])


def _network(encoder: Any, state: Mapping[str, Any]) -> Any:
    """Return the encoder that gives what the classifier reads, if it is `encoder` or one of its parts."""
    backbone = {
        key: value
        for key, value in state.items()
        if not key.startswith("classifier.") and not key.endswith("num_batches_tracked")
    }
    for part in (getattr(encoder, "parts", None) or [encoder]) if encoder is not None else []:
        same = getattr(part, "name", "") == NETWORK and getattr(part, "settings", {}).get("pool") == "gap"
        if same and part.weights_hash == weights.content(backbone):
            return part
    return None


def sample(labels: Ints, distance: Floats, each: int, most: int) -> Ints:
    """Return rows of up to `each` images of every group, the most central first, at most `most` together.

    Of many groups fewer images are looked at, the same number of each; none at all where not even 4 of each can be.

    Examples
    --------
    >>> sample(np.array([0, 0, 0, 1, -1]), np.array([3.0, 1, 2, 5, 0], np.float32), 2, 100)
    array([1, 2, 3])
    """
    ids = np.unique(labels[labels >= 0])
    each = min(each, most // max(1, len(ids)))
    if each < _LEAST and len(ids) * _LEAST > most:
        return np.empty(0, np.int64)
    order = np.lexsort((distance, labels))
    order = order[labels[order] >= 0]
    first = np.searchsorted(labels[order], ids)
    rank = np.arange(len(order)) - first[np.searchsorted(ids, labels[order])]
    chosen: Ints = order[rank < each]
    return chosen


def softmax(logits: Floats) -> Floats:
    """Return probabilities (m, classes) of `logits`.

    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]], np.float32)).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: Floats = (shifted / shifted.sum(1, keepdims=True)).astype(np.float32)
    return probabilities
