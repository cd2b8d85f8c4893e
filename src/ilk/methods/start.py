"""The groups of the default pipeline, for methods that train a network from them."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ilk.methods import pipeline
from ilk.methods.assign.placer import Space, coordinates, graph_of
from ilk.vectors import fit_pca

__all__ = ["default_groups"]

_COMPONENTS, _STARTS = 50, 3


def default_groups(features: npt.NDArray[Any], k: int, seed: int) -> pipeline.Grouping:
    """Group features as `ilk cluster` does without ``-m``.

    Parameters
    ----------
    features
        (m, d) of distinct images.
    k
    seed

    Returns
    -------
    Grouping
        Labels (m,) by size, probabilities (m, k), and notes.
    """
    settings = pipeline.LayoutSettings()
    some = pipeline.rows_for_pca(features, seed)
    pca = fit_pca(some, min(_COMPONENTS, *some.shape), normalize=True)
    rows = coordinates(pca, features)
    graph = graph_of(Space(pca, rows), max(settings.n_neighbors, settings.n_neighbors_vote + 1))
    embedding, notes = pipeline.reduce_space(rows, features, graph, settings, seed)
    found = pipeline.group(embedding, k, "gmm", _STARTS, seed, graph.nearest(settings.n_neighbors_vote))
    return found._replace(notes=notes + found.notes)
