"""A recipe that tests of benchmarks share, and the images it runs on."""

from __future__ import annotations

import numpy as np

RECIPE = """
title = "A test"
notes = ["a note of the recipe"]

[variables]
SETS = "sets"

[data.small]
source = "$SETS/small.npz"
clusters = 3
about = "90 images"

[data.parts]
source = "$SETS/parts.npz"
split = "train"
score_split = "test"
clusters = 3

[data.gone]
source = "$SETS/gone.npz"
get = "download it from somewhere"

[[row]]
name = "Toy"
method = "toy:Toy"
preset = "tiny"
data = ["small", "parts", "gone"]
seeds = [0, 1]
published.small = { acc = 0.9, nmi_geometric = 0.8, note = "a note" }

[[row]]
name = "K-means"
method = "transfer"
preset = "tiny"
settings = { encoder = "pixels" }
data = ["small"]
published.small = { acc = 0.5, copied = "another paper" }
budget = [{ minutes = 5, images = 30, settings = { n_init = 1 } }, { minutes = 1, images = 12 }]

[[row]]
name = "Sweep"
method = "toy:Toy"
preset = "tiny"
data = ["small"]
sweep = { key = "images", values = [30, 60] }
"""


def images(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    patterns = np.random.default_rng(5).integers(0, 256, (3, 10, 10))
    return np.clip(patterns[y] + rng.normal(0, 15, (n, 10, 10)), 0, 255).astype(np.uint8), y
