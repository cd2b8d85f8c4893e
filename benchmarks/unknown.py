"""Which share of images that belong to no group is told apart by `predict`, and which share of known ones is refused.

    python benchmarks/unknown.py mnist.npz fashion_mnist.npz

A model of the 60,000 training digits is asked about the 10,000 test digits (known), and about images that are none:
letters in the fonts that come with matplotlib, clothes, noise, and digits with their pixels shuffled, upside down or in
negative. Also the 1,797 8 × 8 digits of scikit-learn: fitted on half, asked about the other half and about noise.
"""

from __future__ import annotations

import argparse
import json
import string
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ilk.methods import TransferClustering

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono")
LIKE_DIGITS = "BDGIOQSZlo"  # counted apart: a sans-serif O is a zero


def letters(which: str, rng: np.random.Generator, n: int = 1000) -> np.ndarray:
    """Draw `n` letters of `which` as MNIST draws digits: white on black, 20 pixels high, centred by mass."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    out = np.zeros((n, 28, 28), np.uint8)
    for i in range(n):
        font = ImageFont.truetype(str(folder / f"{rng.choice(FONTS)}.ttf"), 64)
        image = Image.new("L", (120, 120))
        ImageDraw.Draw(image).text((30, 20), str(rng.choice(list(which))), 255, font)
        image = image.rotate(float(rng.uniform(-15, 15)), Image.Resampling.BICUBIC)
        box = image.getbbox()
        assert box is not None
        image = image.crop(box)
        scale = 20 / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        small = np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.float64)
        rows, columns = np.indices(small.shape)
        mass = small.sum()
        top = round(14 - float((rows * small).sum() / mass))
        left = round(14 - float((columns * small).sum() / mass))
        top, left = min(max(top, 0), 28 - size[1]), min(max(left, 0), 28 - size[0])
        out[i, top : top + size[1], left : left + size[0]] = small
    return out


def refused(model: Any, images: np.ndarray) -> float:
    """Return the share of `images` that belongs to none of the groups."""
    return round(float((model.predict(images) < 0).mean()), 4)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist")
    parser.add_argument("fashion")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with np.load(options.mnist) as data:
        train, test = data["x_train"], data["x_test"]
    with np.load(options.fashion) as data:
        clothes = data["x_test"][:2000]
    model = TransferClustering(10).fit(train)
    some = test[:2000]
    shuffled = rng.permuted(some.reshape(len(some), -1), axis=1).reshape(some.shape)
    plain = "".join(c for c in string.ascii_letters if c not in LIKE_DIGITS)
    strange = {
        "letters": letters(plain, rng),
        "letters_like_digits": letters(LIKE_DIGITS, rng),
        "clothes": clothes,
        "uniform_noise": rng.integers(0, 256, (1000, 28, 28), np.uint8),
        "sparse_noise": np.where(rng.random((1000, 28, 28)) < 0.19, 255, 0).astype(np.uint8),
        "shuffled_pixels": shuffled,
        "negatives": 255 - some,
        "upside_down": some[:, ::-1],
    }
    from sklearn.datasets import load_digits

    small = (load_digits().images / 16 * 255).astype(np.uint8)
    half = TransferClustering(10, encoder="pixels").fit(small[::2])
    result = {
        "threshold": model.threshold,
        "mnist": {"known": refused(model, test), **{name: refused(model, x) for name, x in strange.items()}},
        "digits_8x8": {
            "known": refused(half, small[1::2]),
            "uniform_noise": refused(half, rng.integers(0, 256, (1000, 8, 8), np.uint8)),
            "shuffled_pixels": refused(half, rng.permuted(small[1::2].reshape(-1, 64), axis=1).reshape(-1, 8, 8)),
        },
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
