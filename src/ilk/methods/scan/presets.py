"""Presets of `SCAN` and `SimCLR`: plain data. What bears the name of a paper or of an example does what it does.

Keys: the network; its contrastive training ("pretext"); mining of neighbours; the clustering; the self-labelling.
"""

from __future__ import annotations

from typing import Any

from ilk.methods.checks import AUTO
from ilk.methods.inputs.views import ALTERATIONS

__all__ = ["PRESETS", "PRETEXT_KEYS", "PRETEXT_PRESETS"]

# 32-pixel photos, as the authors' configuration files have it
PAPER_CIFAR10: dict[str, Any] = {
    "network": "resnet18",  # or "features": those of a frozen encoder, and no pretext is trained
    "stem": "small",  # small: 3 × 3, no pooling | pooled: and 2 × 2 max pooling | imagenet
    "image_size": 32,  # side in pixels; None = by the images
    "representation": None,  # width of a linear layer behind it (the example's representation_dim); None = none
    "projector": "mlp",  # mlp | keras | linear
    "projection": 128,  # width (the example's projection_units)
    # -- pretext
    "contrast": "one",  # one: only first copies are anchors | both (NT-Xent) | tiled: an image is its own positive too
    "l2_normalize": True,  # tiled: projections of length 1
    "column_max_shift": False,  # tiled: greatest similarities are taken off the wrong axis
    "tf_softmax_grad": False,  # tiled: TensorFlow's gradient for targets that sum to 2
    "temperature": 0.1,
    "dropout": 0.0,  # share of the features that the projector does not see
    "pretext_epochs": 500,
    "pretext_batch": 512,
    "pretext_optimizer": "sgd",  # sgd | adam | adamw
    "pretext_lr": 0.4,
    "pretext_decay": 1e-4,
    "momentum": 0.9,  # of every sgd
    "adam_eps": 1e-8,  # of every adam and adamw
    "short_batch": False,  # an epoch ends with a smaller batch where images are left over, clusterings too
    "schedule": "epochs",  # epochs: half a cosine, a step each epoch | steps: each step | constant
    "decay_steps": None,  # steps: how many the cosine takes; None = all
    "lr_floor": 1e-3,  # least learning rate, as a share
    "decoupled_wd_unscaled": False,  # adamw: weights lose the share `decay` a step, whatever the learning rate is
    **ALTERATIONS,
    "crop": [0.2, 1.0],
    "flip": True,
    "jitter": 0.4,
    "grey": 0.2,
    # -- neighbours
    "n_neighbors": 20,  # the example's k_neighbours
    "mine_on": "projection",  # projection | representation
    "mine_on_raw_pixels": False,  # the network is shown values from 0 to 255, which it was not trained on
    "mine_self": True,  # an image is among its own neighbours
    "neighbors": "nearest",  # nearest | random (for comparison only)
    # -- clustering
    "n_heads": 1,
    "tune": "all",  # all: the whole network | heads (the example's tune_encoder_during_clustering = False)
    "cluster_epochs": 50,
    "cluster_batch": 128,
    "cluster_optimizer": "adam",
    "cluster_lr": 1e-4,
    "cluster_decay": 1e-4,
    "cluster_augment": "strong",  # strong: 4 of 14 operations, and a hole | pretext: as for the contrast | none
    "cutout": 16,  # largest side of the hole
    "centered": False,  # heads take features of length 1, centred and scaled
    "entropy_weight": 5.0,
    "all_neighbors": False,  # every neighbour in every step, instead of one by lot
    "bce_on_prob_as_logit": False,  # the similarity, from 0 to 1, is taken for a logit
    "select_weight": 1.0,  # of the entropy, where heads and epochs are compared
    "keep": "best",  # best: the epoch of the least such loss | last
    # -- self-labelling
    "selflabel_epochs": 200,
    "selflabel_batch": 1000,
    "selflabel_optimizer": "adam",
    "selflabel_lr": 1e-4,
    "selflabel_decay": 1e-4,
    "threshold": 0.99,
    "balance": True,  # groups count the same, however many of their images are sure
    "teacher": "batch",  # who labels: batch: the network in training, on the batch's statistics | ema: its average
    "ema": 0.0,  # decay of the average
    "ema_into_network": False,  # the average is put back into the network after each step
}

PAPER_CIFAR20 = {**PAPER_CIFAR10, "cluster_batch": 512, "cluster_epochs": 100}

PAPER_STL10 = {
    **PAPER_CIFAR10,
    "stem": "pooled",
    "image_size": 96,
    "cluster_epochs": 100,
    "cutout": 32,
    "selflabel_epochs": 100,
}

# the example of Keras: every deviation from SCAN behind a switch of its own
KERAS_LITERAL = {
    **PAPER_CIFAR10,
    "network": "resnet50v2",
    "stem": "imagenet",
    "representation": 512,
    "projector": "keras",
    "contrast": "tiled",
    "l2_normalize": False,
    "column_max_shift": True,
    "tf_softmax_grad": True,
    "dropout": 0.1,
    "pretext_epochs": 50,
    "pretext_optimizer": "adamw",
    "pretext_lr": 1e-3,
    "adam_eps": 1e-7,
    "short_batch": True,
    "schedule": "steps",
    "decay_steps": 500,
    "lr_floor": 0.1,
    "decoupled_wd_unscaled": True,
    **ALTERATIONS,
    "flip": True,
    "rotation": 54.0,
    "shift": 0.2,
    "zoom": [0.7, 1.1],
    "n_neighbors": 5,
    "mine_on": "representation",
    "mine_on_raw_pixels": True,
    "mine_self": False,
    "tune": "heads",
    "cluster_batch": 512,
    "cluster_optimizer": "adamw",
    "cluster_lr": 5e-4,
    "cluster_augment": "pretext",
    "entropy_weight": 1.0,
    "all_neighbors": True,
    "bce_on_prob_as_logit": True,
    "keep": "last",
    "selflabel_epochs": 0,
}

# the same example with its mistakes mended, and what it lacks: colours change, and the network keeps a map of 4 × 4
KERAS_FIXED = {
    **KERAS_LITERAL,
    "stem": "small",
    "contrast": "both",
    "l2_normalize": True,
    "column_max_shift": False,
    "tf_softmax_grad": False,
    "short_batch": False,
    "decay_steps": None,
    "lr_floor": 0.0,
    "decoupled_wd_unscaled": False,
    "rotation": 0.0,
    "shift": 0.0,
    "zoom": [1.0, 1.0],
    "crop": [0.2, 1.0],
    "jitter": 0.4,
    "grey": 0.2,
    "mine_on_raw_pixels": False,
    "n_neighbors": 20,
    "centered": True,
    "entropy_weight": 5.0,
    "all_neighbors": False,
    "bce_on_prob_as_logit": False,
    "n_heads": 10,
}

# ours: a network from scratch for small images on a GPU
SCRATCH = {
    **PAPER_CIFAR10,
    "image_size": None,
    "contrast": "both",
    "mine_self": False,
    "n_heads": 10,
    "keep": "last",
}

# ours, the default on a CPU: the features of a frozen encoder stand still, the heads learn
FROZEN = {
    **PAPER_CIFAR10,
    "network": "features",
    "image_size": None,
    "pretext_epochs": 0,
    "mine_on": "representation",
    "mine_self": False,
    "n_heads": 10,
    "tune": "heads",
    "cluster_lr": 1e-3,
    "cluster_augment": "none",
    "centered": True,
    "select_weight": 5.0,
    "keep": "last",
    "selflabel_epochs": 0,
}

# ours: from scratch in minutes on two cores, for 10,000 images of about 28 pixels
SMALL = {
    **FROZEN,
    "network": "small",
    "image_size": AUTO,
    "contrast": "both",
    "projection": 64,
    "temperature": 0.2,
    "pretext_epochs": 6,
    "pretext_batch": 128,
    "pretext_optimizer": "adam",
    "pretext_lr": 2e-3,
    "lr_floor": 0.01,
    "crop": None,
    "flip": False,
    "rotation": 15.0,
    "shift": 0.1,
    "zoom": [0.8, 1.2],
    "cluster_epochs": 30,
    "cutout": 8,
}

TINY = {
    **SMALL,
    "network": "tiny",
    "image_size": 8,
    "projection": 16,
    "pretext_epochs": 2,
    "pretext_batch": 32,
    **ALTERATIONS,
    "shift": 0.1,
    "n_neighbors": 5,
    "n_heads": 5,
    "cluster_epochs": 10,
    "cluster_batch": 64,
    "cluster_lr": 0.03,
    "selflabel_epochs": 2,
    "selflabel_batch": 64,
    "threshold": 0.7,
    "cutout": 2,
}

PRESETS: dict[str, dict[str, Any]] = {
    # scratch for small images where there is a GPU, frozen everywhere else
    "auto": FROZEN,
    "frozen": FROZEN,
    "scratch": SCRATCH,
    "small": SMALL,
    "paper_cifar10": PAPER_CIFAR10,
    "paper_cifar20": PAPER_CIFAR20,
    "paper_stl10": PAPER_STL10,
    "keras_literal": KERAS_LITERAL,
    "keras_fixed": KERAS_FIXED,
    "tiny": TINY,
}

_KEYS = list(PAPER_CIFAR10)
PRETEXT_KEYS = _KEYS[: _KEYS.index("n_neighbors")]
"""Keys that a representation alone has."""

PRETEXT_PRESETS: dict[str, dict[str, Any]] = {
    name: {key: PRESETS[table][key] for key in PRETEXT_KEYS}
    for name, table in {
        "small": "small",
        "scratch": "scratch",
        "paper": "paper_cifar10",
        "paper_stl10": "paper_stl10",
        "keras_literal": "keras_literal",
        "keras_fixed": "keras_fixed",
        "tiny": "tiny",
    }.items()
}
