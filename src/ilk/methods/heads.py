"""Methods that train a small network on the features of a frozen encoder: everything but the network and its stages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import compute, encoders, train
from ilk.data import Encoded, ImageSource
from ilk.methods import checks
from ilk.methods.assign.rules import Groups
from ilk.methods.clusterer import Clusterer
from ilk.methods.inputs.dataset import FeatureDataset, encode_all
from ilk.methods.reporter import Reporter
from ilk.methods.settings import estimator
from ilk.methods.training import Plan, Run, run
from ilk.networks.still import still

__all__ = ["HeadsOnFeatures", "Sorting"]

_BLOCK = 1024


class Sorting(Protocol):
    """What the network of such a method can do."""

    def probabilities(self, rows: Tensor) -> Tensor:
        """Return group probabilities (b, k) of features (b, d), by the head that counts."""


@estimator
class HeadsOnFeatures(Clusterer):
    """Abstract: a method says what network it trains on features (`_network`), and how (`_plans`).

    In return it has progress with time left, an estimate of the time, a stop and a checkpoint within epochs, a history,
    predictions, and a file of its own.

    Parameters
    ----------
    encoder : str
        "auto" or any of `ilk.encoders`; its features are brought to length 1 and centred.
    weights : path, optional
        Weights of the encoder.
    n_clusters, preset, settings, random_state, device, precision, cache, verbose
        As `ilk.methods.clusterer.Clusterer` has them; settings may be those of the encoder too.

    Attributes
    ----------
    network_ : nn.Module
    """

    preset: str = "default"
    encoder: Any = "auto"
    weights: str | Path | None = None

    other_settings: ClassVar[frozenset[str]] = frozenset(encoders.SETTINGS)

    # -- what a method says ------------------------------------------------------------------------------------------

    @abstractmethod
    def _network(self, width: int, k: int, settings: Any, draws: torch.Generator) -> nn.Module:
        """Build the network for features (b, width) and k groups; it has `Sorting.probabilities`."""

    @abstractmethod
    def _plans(self, network: Any, dataset: FeatureDataset, settings: Any, report: Reporter) -> Sequence[Plan]:
        """Return what is to be trained, one stage after another."""

    def _dataset(self, features: npt.NDArray[Any], mean: Tensor | None = None) -> FeatureDataset:
        """Return features as the network takes them: of length 1, with the mean of the training images taken off."""
        return FeatureDataset.centered(features, compute.device(self.device), mean)

    def _finished(self, done: Run, dataset: FeatureDataset) -> None:
        """Take from the training what the estimator shows besides groups."""

    # -- fit ---------------------------------------------------------------------------------------------------------

    @final
    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        self.encoded_ = self._encoded(source, report, self.encoder, self.weights)
        features, k = self.encoded_.features, int(self.n_clusters)
        checks.distinct_images(self.encoded_, len(features), k, alike=True)
        dataset = self._dataset(features)
        self.mean_ = torch.zeros(dataset.width) if dataset.mean is None else dataset.mean.cpu()
        self._build(dataset.width, k)
        known = {"n_clusters": k, "random_state": self._seed(), "encoder": self.encoder_.key}
        done = run(
            self._plans(self.network_, dataset, self.settings_, report),
            report,
            identity={**self.settings_.as_dict(), **known},
            n_images=len(dataset),
            resume=resume,
        )
        self.history_[:0] = done.history
        self.notes_ += done.notes
        self._finished(done, dataset)
        proba = self._proba(features)
        labels = proba.argmax(1).astype(np.int64)
        if (used := len(np.unique(labels))) < k:
            self.notes_.append(f"only {used} of {k} groups have images: ask for fewer (-k), or another seed (--seed)")
        rows = dataset.read(torch.arange(len(dataset))).cpu().numpy()
        said = "the heads' group probabilities"
        return Groups(None, labels, proba, proba.max(1), embedding=proba, space=rows, reduced=said)

    def _build(self, width: int, k: int) -> None:
        network = self._network(width, k, self.settings_, compute.generator(self._seed()))
        self.network_ = network.to(compute.device(self.device))

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)

    @torch.no_grad()
    def _proba(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        dataset = self._dataset(features, self.mean_)
        network: Any = self.network_
        with still(self.network_):
            rows = torch.arange(len(dataset))
            found = encode_all(network.probabilities, dataset.read, rows, _BLOCK, device=dataset.device)
        return found.numpy() if len(found) else np.zeros((0, int(self.n_clusters)), np.float32)

    # -- keep --------------------------------------------------------------------------------------------------------

    @final
    def state(self) -> dict[str, Any]:
        """Return what `predict` needs: arrays and plain values."""
        return {
            "n_clusters": self.n_clusters_,
            "table": self.settings_.as_dict(),
            "encoder": self.encoder_.spec(),
            "mean": self.mean_.numpy(),
            "centers": self.cluster_centers_,
            **train.state_of(network=self.network_),
        }

    @final
    def _restore(self, state: Mapping[str, Any]) -> None:
        self.mean_ = torch.from_numpy(np.array(state["mean"], np.float32))
        self._build(len(self.mean_), self.n_clusters_)
        train.restore(state, network=self.network_)
