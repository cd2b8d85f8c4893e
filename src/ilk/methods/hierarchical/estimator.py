"""Grouping in two levels: features → many weighted centres → groups of the centres → a group for every image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from ilk import encoders, layout
from ilk.choose import choose_k
from ilk.data import Encoded, ImageSource
from ilk.data.encoded import room
from ilk.errors import ArgumentError
from ilk.methods import checks, pipeline
from ilk.methods.assign import rules
from ilk.methods.assign.center_votes import CenterVotes
from ilk.methods.assign.placer import Placer, Space, coordinates, graph_of
from ilk.methods.assign.rejection import Reach, lost_when_new
from ilk.methods.assign.rules import Groups
from ilk.methods.assign.voting import Voter
from ilk.methods.clusterer import Clusterer
from ilk.methods.grid import check_grid
from ilk.methods.hierarchical.first_level import BLOCK, Centers, find_centers
from ilk.methods.hierarchical.settings import PRESETS, HierarchicalSettings
from ilk.methods.inputs.encoder import brings_features
from ilk.methods.reporter import Reporter
from ilk.methods.settings import estimator
from ilk.vectors import Best, fit_pca

__all__ = ["Hierarchical"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_CENTERS = 4  # of a group, on average, for each vote
_MEASURED = 20_000  # images that the reach of the groups is measured on


@final
@estimator
class Hierarchical(Clusterer):
    """Group very many images in two levels: K-means around many centres, and groups of the centres.

    encode → L2 → PCA → centres, each with the number of images around it → UMAP → Gaussian mixture, both of weighted
    centres → every image by the vote of the nearest centres.

    Parameters
    ----------
    n_clusters : int or "auto"
        At least 2.
    encoder : str
        "auto", "pixels", "classic" or any timm model name.
    weights : path, optional
        Weights of the encoder.
    preset, settings, random_state, device, precision, cache, verbose
        As `ilk.methods.clusterer.Clusterer` has them; settings may be those of the encoder too.
    threshold : float
        In [0, 1]: `predict` answers -1, "none of these", where the probabilities of all groups sum to less. 0, which
        is the default, refuses nothing; .2 refuses about one in a hundred images of the same kind, of the training
        images too.

    Attributes
    ----------
    labels_ : (n,) int64
        -1 = not readable. Groups are numbered from the largest (0) to the smallest.
    probabilities_, confidence_
        What `predict_proba` says of the images, and the largest of it.
    centers_ : Centers
        Centres (c, p) in principal components, and how many images are around each.
    k_choice_ : KChoice or None

    Notes
    -----
    Cost for n images, c centres (10·√n, at most 10,000) and p = 50 components: twice 2·n·c·p FLOPs, and the default
    pipeline on c rows. Memory: a block of images, 32·c of them for K-means, and 20 bytes for each image; features may
    be a memory map. Numbers of groups are compared on the centres, each counted once.

    References
    ----------
    H. V. Vo et al., "Automatic Data Curation for Self-Supervised Learning: A Clustering-Based Approach", 2024,
    arXiv:2405.15613, group centres of centres too, to draw a balanced sample from them.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> images = np.concatenate([rng.integers(0, 99, (20, 8, 8)), rng.integers(150, 255, (20, 8, 8))]).astype("u1")
    >>> model = Hierarchical(2, encoder="pixels", preset="tiny", settings={"n_centers": 20, "pca_dim": 2}).fit(images)
    >>> model.labels_.shape, len(model.centers_.rows), int(model.centers_.weights.sum())
    ((40,), 20, 40)
    """

    n_clusters: Any = "auto"
    encoder: Any = "auto"
    weights: str | Path | None = None
    threshold: float = 0.0

    presets: ClassVar = PRESETS
    other_settings: ClassVar[frozenset[str]] = frozenset(encoders.SETTINGS)
    chooses_k: ClassVar[bool] = True

    def resolved(self) -> HierarchicalSettings:
        """Return the settings in force, every one checked.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        found: HierarchicalSettings = super().resolved()
        checks.threshold(self.threshold)
        if found.n_centers is not None and self.n_clusters != "auto" and found.n_centers < int(self.n_clusters):
            raise ArgumentError(
                f"n_centers={found.n_centers}: {self.n_clusters} groups of centres need at least as many."
            )
        return found

    # -- fit ---------------------------------------------------------------------------------------------------------

    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        settings: HierarchicalSettings = self.settings_
        check_grid(settings.k_grid, self.settings, len(source))
        with layout.warming_up(settings.reducer == "umap" and len(source) >= pipeline.FEWEST_FOR_UMAP) as warm_up:
            warm_up()
            name = "auto" if brings_features(source) else self.encoder
            self.encoded_ = self._encoded(source, report, name, self.weights)
        features, wanted = self.encoded_.features, 2 if self.n_clusters == "auto" else int(self.n_clusters)
        checks.distinct_images(self.encoded_, pipeline.distinct_up_to(features, wanted), wanted, alike=True)
        with report.stage("reduce"):
            rows = pipeline.rows_for_pca(features, self._seed())
            pca = fit_pca(rows, min(settings.pca_dim, *rows.shape), normalize=True)
            count = settings.centers_for(len(features))
            spent = settings.per_center, settings.steps, self._seed()
            self.centers_ = find_centers(pca, features, count, *spent, on_progress=report.progress)
            distinct = len(self.centers_.rows)
            checks.distinct_images(self.encoded_, min(distinct, wanted), wanted, alike=True)
            self.notes_.append(f"{len(features):,} distinct images around {distinct:,} centres, which are grouped")
            space = Space(pca, self.centers_.rows)
            graph = graph_of(space, max(settings.n_neighbors, settings.n_neighbors_vote + 1))
            mass = self.centers_.weights
            laid, notes = pipeline.reduce_space(space.rows, space.rows, graph, settings, self._seed(), mass)
            self.notes_ += graph.notes() + notes
        with report.stage("cluster"):
            self.k_choice_: Any = None
            k = self._number(laid, graph, report) if self.n_clusters == "auto" else wanted
            found = pipeline.group(laid, k, settings.clusterer, settings.n_init, self._seed(), graph, weights=mass)
            self.notes_ += found.notes
            return self._placed(space, found, features, report)

    def _number(self, laid: Floats, graph: layout.Graph, report: Reporter) -> int:
        """Return the number of groups that the centres speak for."""
        settings: HierarchicalSettings = self.settings_
        choice = choose_k(
            laid, k_grid=settings.k_grid, k_max=settings.k_max, random_state=self._seed(), graph=graph[:2]
        )
        weak = self.encoder_.weak
        self.k_choice_ = choice.unjudged(pipeline.too_weak(self.encoder_.name)) if weak else choice
        self.notes_ += [] if self.k_choice_.clear else [self.k_choice_.why]
        said = {"k_table": choice.table, "suggested": self.k_choice_.suggested(), "clear": self.k_choice_.clear}
        report({"stage": "choose", **said, "space": "centres", "why": self.k_choice_.why})
        return int(self.k_choice_.natural)

    def _placed(self, space: Space, found: pipeline.Grouping, features: npt.NDArray[Any], report: Reporter) -> Groups:
        """Return the groups of all images, which the centres vote for; block by block."""
        k = found.proba.k
        # where a group has few centres, the others would outvote them all
        votes = max(1, min(self.settings_.n_neighbors_vote, len(space.rows) // (_CENTERS * k)))
        certain = np.eye(k, dtype=np.float32)[found.labels] if len(space.rows) * k <= _MEASURED * 50 else found.proba
        voter = _voter(space, certain, found.labels, features, votes, self._seed())
        m = len(features)
        labels, confidence = np.empty(m, np.int64), np.empty(m, np.float32)
        rows = room(m, space.rows.shape[1])
        placer = Placer(space.pca, voter)

        def block(start: int, stop: int) -> Floats:
            odds = np.empty((stop - start, k), np.float32)
            for first in range(start, stop, BLOCK):
                some = features[first : min(stop, first + BLOCK)]
                odds[first - start : first - start + len(some)] = placer(some)
                rows[first : first + len(some)] = coordinates(space.pca, some)
            labels[start:stop], confidence[start:stop] = odds.argmax(1), odds.max(1)
            report.progress(stop, m)
            return odds

        proba = Best.by_blocks(m, k, block)
        order = np.argsort(-np.bincount(labels, minlength=k), kind="stable")
        rank = np.empty(k, np.int64)
        rank[order] = np.arange(k)
        voter = replace(
            voter, proba=voter.proba.renumbered(rank), near=_of(voter.near, order), lost=_of(voter.lost, order)
        )
        assigner = CenterVotes(Placer(space.pca, voter))
        return Groups(assigner, rank[labels], proba.renumbered(rank), np.minimum(confidence, 1), space=rows)

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)

    # -- keep --------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values."""
        weights = {"center_weights": self.centers_.weights}
        return {"encoder": self.encoder_.spec(), "threshold": float(self.threshold), **weights, **rules.kept(self)}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.threshold = float(state["threshold"])
        rules.take(self, state)
        assert isinstance(self.assigner_, CenterVotes)
        self.centers_ = Centers(self.assigner_.placer.voter.space, np.asarray(state["center_weights"], np.float32))


def _of(reach: Reach, order: Ints) -> Reach:
    return Reach(reach.usual[order], reach.spread[order])


def _voter(space: Space, proba: Any, labels: Ints, features: npt.NDArray[Any], votes: int, seed: int) -> Voter:
    """Return the vote of the centres, its reach measured on some images."""
    m = len(features)
    drawn = np.sort(np.random.default_rng(seed).choice(m, min(m, _MEASURED), replace=False))
    k = Best.of(proba).k
    endless = Reach(np.full(k, np.inf, np.float32), np.ones(k, np.float32))
    voter = Voter(space.rows, Best.of(proba), endless, endless, votes)
    near, away = voter.nearest(coordinates(space.pca, features[drawn]), votes)
    groups = labels[near[:, 0]]
    new = lost_when_new(features, len(space.pca.components))
    of_new = labels[voter.nearest(coordinates(space.pca, features[new[0]]), 1)[0][:, 0]] if len(new[0]) else new[0]
    return replace(voter, near=Reach.of(away.mean(1), groups, k), lost=Reach.of(new[1], of_new, k))
