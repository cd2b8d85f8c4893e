"""What can be said of a training without labels: sizes of the clusters, agreement of successive clusterings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import metrics
from ilk.methods.deepcluster.settings import DeepClusterSettings

__all__ = ["advice", "seen"]

Ints = npt.NDArray[Any]


def seen(labels: Ints, before: Ints | None) -> dict[str, float]:
    """Return what can be said of a clustering beside the one before.

    Returns
    -------
    dict
        ``clusters``: how many have images; ``largest``: share of the largest; ``agreement``: NMI (arithmetic) with the
        clustering before; ``reassigned``: share of the images outside of the largest common part of their cluster with
        one of before. Clusters have no fixed numbers, so none is compared by its number.

    Examples
    --------
    >>> import numpy as np
    >>> seen(np.array([0, 0, 0, 1]), np.array([5, 5, 3, 3]))["reassigned"]
    0.25
    """
    counts = np.bincount(labels)
    found: dict[str, float] = {
        "clusters": int((counts > 0).sum()),
        "largest": round(float(counts.max() / len(labels)), 4),
    }
    if before is not None:
        table = metrics.contingency(before, labels)
        most = np.zeros(len(table.clusters), np.int64)
        np.maximum.at(most, table.columns, table.counts)
        found["agreement"] = round(float(metrics.nmi(before, labels)), 4)
        found["reassigned"] = round(1 - float(most.sum() / len(labels)), 4)
    return found


def advice(history: Sequence[Mapping[str, Any]], settings: DeepClusterSettings, k: int) -> list[str]:
    """Return what the user should know after a training."""
    if not history:
        return [
            "no network was trained (epochs=0): the groups are those of random features. Give epochs=10, or "
            "--set preset=small, to train it"
        ]
    last = history[-1]
    notes = []
    if len(history) < settings.epochs:
        notes.append(
            f"stopped after {len(history)} of {settings.epochs} epochs: successive clusterings agree by an NMI of "
            f"{last['agreement']:.3f}, and stop_agreement is {settings.stop_agreement:g}"
        )
    if last["largest"] > 0.5:
        notes.append(
            f"{last['largest']:.0%} of the images are in one of {k} pseudo-labels: the training collapsed. Try "
            "sampler=uniform, a smaller lr, or another --seed"
        )
    elif last["clusters"] < 0.9 * k:
        notes.append(f"only {last['clusters']} of {k} pseudo-labels have images: fewer distinct features than n_fine")
    return notes
