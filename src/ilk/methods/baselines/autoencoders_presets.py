"""Presets of the autoencoders in `ilk.methods.baselines.autoencoders`: plain data.

Nothing was published about how the DAC paper trained its autoencoders. "default" is ours, for minutes on a CPU.
"""

from __future__ import annotations

from typing import Any

__all__ = ["AUTOENCODER", "DECONVOLUTIONAL", "DENOISING", "SPARSE", "SWWAE_", "VARIATIONAL"]

Presets = dict[str, dict[str, Any]]

_TRAINING: dict[str, Any] = {
    "image_size": None,  # side in pixels; None = by the images
    "epochs": 20,
    "batch_size": None,  # None = 256, less where there are few images
    "optimizer": "adam",  # adam | sgd (momentum .9)
    "lr": 1e-3,
    "decay": True,  # the rate falls to 0 along half a cosine
    "n_init": 20,  # starts of K-means on the codes
}
_DENSE = {"widths": [500, 500, 2000], "code": 10}  # the trunk of the DEC papers
_TINY = {**_TRAINING, "epochs": 4, "batch_size": 16, "n_init": 3}
_TINY_DENSE = {"widths": [32], "code": 6}
# the schedule of DEC's Keras code, which many copied: no decay, 300 epochs
_LONG = {"epochs": 300, "batch_size": 256, "optimizer": "sgd", "lr": 1.0, "decay": False}
_GROUPS: dict[str, Any] = {
    "groups": "kmeans",  # kmeans | umap (and a Gaussian mixture)
    "reducer": "umap",  # umap | pca
    "components": 10,  # dimensions of the UMAP space
    "n_neighbors": 15,
    "min_dist": 0.0,
    "umap_epochs": None,
    "votes": 15,  # neighbours that vote in `predict`
}

AUTOENCODER: Presets = {
    "default": {**_TRAINING, **_DENSE, **_GROUPS},
    "long": {**_TRAINING, **_DENSE, **_GROUPS, **_LONG},
    "n2d": {**_TRAINING, **_DENSE, **_GROUPS, "groups": "umap"},
    "tiny": {**_TINY, **_TINY_DENSE, **_GROUPS},
}

_SPARSE = {"sparsity": 0.01, "target": 0.05, "weight_decay": 1e-5}
SPARSE: Presets = {
    # on the widest layer of the common trunk
    "default": {**_TRAINING, **_DENSE, **_SPARSE},
    # one hidden layer of sigmoid units, which is the code, as in Ng's lecture notes; optimizer and width are ours
    "notes": {**_TRAINING, "widths": [500], "code": None, "sparsity": 3.0, "target": 0.05, "weight_decay": 1e-4},
    "tiny": {**_TINY, **_TINY_DENSE, **_SPARSE},
}

DENOISING: Presets = {
    "default": {**_TRAINING, **_DENSE, "corruption": 0.2},  # share of pixels set to 0
    "long": {**_TRAINING, **_DENSE, "corruption": 0.2, **_LONG},
    "tiny": {**_TINY, **_TINY_DENSE, "corruption": 0.2},
}

_CONV: dict[str, Any] = {"channels": [32, 64, 128], "kernels": [5, 5, 3], "code": 10}
DECONVOLUTIONAL: Presets = {
    "default": {**_TRAINING, **_CONV, "epochs": 8},
    "tiny": {**_TINY, "channels": [8, 8], "kernels": [3, 3], "code": 6},
}

_SWITCHES: dict[str, Any] = {
    "channels": [16, 32, 64, 128],
    "middle": 0.1,  # weight of the losses between the levels
    "code": 64,  # principal components of what all levels hold
}
SWWAE_: Presets = {
    "default": {**_TRAINING, **_SWITCHES, "epochs": 8},
    "pixels": {**_TRAINING, **_SWITCHES, "epochs": 8, "middle": 0.0},
    "tiny": {**_TINY, "channels": [16, 32, 64], "middle": 0.1, "code": 8},
}

VARIATIONAL: Presets = {
    "default": {**_TRAINING, **_DENSE, "beta": 1.0},  # weight of the divergence; 1 = the bound itself
    "tiny": {**_TINY, **_TINY_DENSE, "beta": 1.0},
}
