"""Presets of `DeepCluster`: plain data. What bears the paper's name is as published; all others are ours.

``None`` where the value follows from something else, ``"auto"`` where it follows from the images.
"""

from __future__ import annotations

from typing import Any

from ilk.methods.checks import AUTO

__all__ = ["PRESETS"]

# how images are altered for training; clustering always sees them unaltered
_CROP: dict[str, Any] = {
    "crop": [0.08, 1.0],  # share of the area; None = no random crop
    "rotation": 0.0,  # degrees, either way
    "shift": 0.0,  # share of the side, either way
    "zoom": [1.0, 1.0],  # height and width apart
    "flip": True,  # left and right, every second time
    "jitter": 0.0,  # strength of colour jitter, grey and blur, as of DeepCluster-v2; 0 = none of the three
}
_MOVE = {"crop": None, "rotation": 10.0, "shift": 0.1, "zoom": [0.85, 1.15], "flip": True, "jitter": 0.0}

# the paper's AlexNet, with what the released script sets; the authors' tables come from 500 epochs
PAPER_ALEXNET: dict[str, Any] = {
    "algorithm": "deepcluster",  # deepcluster | v2
    "network": "alexnet",
    "image_size": 224,
    "margin": 256 / 224,  # images are kept this much larger: crops are taken from them, clustering sees their centre
    "normalise": "imagenet",  # imagenet | images: whose mean and standard deviation of every channel
    "sobel": True,  # the network sees edges only
    "epochs": 500,
    "batch_size": 256,
    "n_fine": 10_000,  # clusters that are the pseudo-labels; None = 10 for each group, at least 100
    "components": 256,  # principal components that K-means sees, whitened
    "iterations": 20,  # of K-means
    "merge": "ward",  # ward | kmeans: how fine clusters become groups
    "balance": "uniform",  # uniform | inverse_size | none
    "reset_head": True,  # a fresh last layer for every clustering
    "recluster": True,  # false: the first clustering for ever (for comparison only)
    "stop_agreement": None,  # stop where successive clusterings agree by this NMI
    "optimizer": "sgd",  # sgd | larc | auto: larc for batches of 1,024 and more
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-5,
    "schedule": "constant",  # constant | cosine
    "warmup": 0,  # epochs
    **_CROP,
    # version 2 only
    "heads": 3,
    "width": 128,  # of the embeddings
    "temperature": 0.1,
    "crops": [2, 6],  # views of an image: large, small
    "crop_sizes": [224, 96],  # "auto" = the image's side, and .64 of it
    "crop_scales": [0.14, 0.05],  # least share of the area; the small end where the large begin
}

PAPER_VGG16: dict[str, Any] = {**PAPER_ALEXNET, "network": "vgg16"}

# ours, for small images: a net of three convolutions, minutes on a CPU
SMALL: dict[str, Any] = {
    **PAPER_ALEXNET,
    "network": AUTO,  # small up to 48 pixels a side, resnet18 above
    "image_size": None,  # side in pixels; None = 28, 32 or 96 by the images
    "margin": 1.0,
    "normalise": "images",
    "sobel": False,
    "epochs": 10,
    "batch_size": 128,
    "n_fine": None,
    "components": 16,
    **_MOVE,
}

# ours, for photos on a CPU: the clustering phase alone, on the features of a frozen encoder
QUICK: dict[str, Any] = {**SMALL, "network": "features", "epochs": 0}

# the second version, as its authors' script has it, on one device
V2: dict[str, Any] = {
    **PAPER_ALEXNET,
    "algorithm": "v2",
    "network": "resnet50",
    "margin": 256 / 224,
    "sobel": False,
    "epochs": 400,
    "batch_size": 4096,
    "n_fine": 3000,
    "components": 0,
    "iterations": 10,
    "optimizer": "larc",
    "lr": 4.8,
    "weight_decay": 1e-6,
    "schedule": "cosine",
    "warmup": 10,
    "jitter": 1.0,
    "balance": "none",
}

# ours: the second version for small images, one device, minutes to an hour
V2_SMALL: dict[str, Any] = {
    **V2,
    "network": AUTO,
    "image_size": None,
    "margin": 1.0,
    "normalise": "images",
    "epochs": 30,
    "batch_size": 256,
    "n_fine": None,
    "optimizer": "auto",
    "lr": 0.1,
    "warmup": 2,
    "weight_decay": 1e-5,
    "jitter": 0.5,
    "crops": [2, 2],
    "crop_sizes": AUTO,
    "crop_scales": [0.3, 0.1],
}

PRESETS: dict[str, dict[str, Any]] = {
    # quick for photos on a CPU where no network is named, small otherwise
    "auto": SMALL,
    "small": SMALL,
    "quick": QUICK,
    "paper_alexnet": PAPER_ALEXNET,
    "paper_vgg16": PAPER_VGG16,
    "v2": V2,
    "v2_small": V2_SMALL,
    "tiny": {
        **SMALL,
        "network": "tiny",
        "image_size": 8,
        "epochs": 3,
        "batch_size": 32,
        "components": 2,
        "rotation": 0.0,
        "shift": 0.0,
        "zoom": [1.0, 1.0],
        "flip": False,
    },
}
