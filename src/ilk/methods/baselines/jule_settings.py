"""Settings and presets of `JULE`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ilk.methods.baselines.trained_settings import TrainedSettings
from ilk.methods.settings import choice, flag, number, whole, wholes

__all__ = ["PRESETS", "JULESettings"]


@dataclass(frozen=True, kw_only=True)
class JULESettings(TrainedSettings):
    """Those of the released code."""

    renamed: ClassVar = {
        "code": "latent_dim", "margin": "triplet_margin", "pca": "pca_dim", "votes": "n_neighbors_vote",
    }  # fmt: skip

    epochs: int = whole(20, "passes over all images before each series of merges")
    batch_size: int = whole(100, "images of a step")
    channels: tuple[int, ...] = wholes((50, 50), "maps of the convolutions")
    latent_dim: int = whole(160, "numbers in a code")
    n_neighbors: int = whole(20, "edges of every image in the graph that groups are merged on")
    scale: float = number(1.0, "width of the edges' weights, in mean squared distances of neighbours", 1e-3, 1e3)
    local: int = whole(5, "most similar groups that a group is compared with")
    rate: float = number(0.9, "share of the groups that are merged away in a period", 0.01, 0.99)
    lr: float = number(0.01, "learning rate (SGD, momentum .9); falls as (1 + 1e-4 · step) ** -.75", 0, 10)
    weight_decay: float = number(5e-5, "weight decay", 0, 1)
    triplet_margin: float = number(0.2, "margin of the triplet loss", 0, 4)
    weight: float = number(1.0, "weight of the distance within a group", 0, 1e3)
    negatives: int = whole(20, "images of other groups per pair, drawn at random")
    piece: int = whole(1, "images of one group that enter a batch together; 1: batches are drawn at random")
    statistics: str = choice("batch", "statistics of batch norm in the codes that are merged", ("batch", "running"))
    rerun: bool = flag(True, "whether all merges are made once more on the final codes (JULE-RC)")
    least: float = number(0.0, "groups of fewer than least · n / k images are outliers and no groups", 0, 1)
    pca_dim: int = whole(50, "principal components of the pixels in which the first neighbours are sought")
    n_neighbors_vote: int = whole(15, "training images that vote for a new one")


RELEASED = JULESettings()
# ours: a quarter of the epochs. Random batches hold hardly a pair while groups are many (15,000 groups among 70,000
# images: well below one pair a batch), and most of an epoch would teach nothing. Running averages make the code of an
# image the same whatever images stand beside it. Without `least`, the merges of MNIST's codes ended in groups of
# 42,823, 20,254, 6,907, 4 and six times 2 images.
DEFAULT = RELEASED.replace(epochs=5, piece=10, statistics="running", least=0.1)

PRESETS = {
    "default": DEFAULT,
    "released": RELEASED,
    "tiny": DEFAULT.replace(epochs=2, batch_size=16, channels=(8, 8), latent_dim=16, n_neighbors=8, pca_dim=16),
}
