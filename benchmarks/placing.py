"""What `predict` makes of images that a run has not seen.

python benchmarks/placing.py heldout MNIST.npz                      images of the same kind, beside umap-learn's way
python benchmarks/placing.py unknown MNIST.npz FASHION_MNIST.npz    images that belong to no group
"""

from __future__ import annotations

import argparse
import json
import string
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from common import digits, timed
from PIL import Image, ImageDraw, ImageFont

from ilk import TransferClustering, metrics

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono")
LIKE_DIGITS = "BDGIOQSZlo"  # counted apart: a sans-serif O is a zero


class Theirs:
    """A layout and a mixture as people write them, kept so that they can be asked again."""

    def __init__(self, k: int, seed: int) -> None:
        import umap
        from sklearn.mixture import GaussianMixture

        self.layout = umap.UMAP(n_components=10, n_neighbors=15, min_dist=0.0, random_state=seed)
        self.mixture = GaussianMixture(k, n_init=3, init_params="k-means++", random_state=seed)

    def fit_transform(self, x: np.ndarray) -> np.ndarray:
        """Lay out `x`."""
        return np.asarray(self.layout.fit_transform(x))

    def fit_predict(self, x: np.ndarray) -> np.ndarray:
        """Group `x`."""
        return np.asarray(self.mixture.fit_predict(x.astype(np.float64)))

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Place new rows: into the layout first, then into the mixture."""
        return np.asarray(self.mixture.predict(self.layout.transform(x).astype(np.float64)))


def renaming(a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    """For each group of `a` the group of `b` it shares most rows with, one to one."""
    from scipy.optimize import linear_sum_assignment

    shared = np.zeros((k, k), np.int64)
    np.add.at(shared, (a, b), 1)
    return np.asarray(linear_sum_assignment(shared, maximize=True)[1])


def heldout(options: argparse.Namespace) -> dict[str, Any]:
    """How well a run assigns images it has not seen: against umap-learn's own way, and against its training images.

    The usual way: umap-learn lays out PCA-50 of the training images in 10 dimensions, a Gaussian mixture groups them,
    `transform` lays out the test images, the mixture says which group. Ours: `TransferClustering.predict`. Twice: on
    that very layout and mixture (the assignment alone), and the whole default pipeline on its own. Groups are matched
    on the training images. ACC is reported and used for nothing.
    """
    warnings.simplefilter("ignore")
    with np.load(options.data) as data:
        train, test, y_train, y_test = (data[name] for name in ("x_train", "x_test", "y_train", "y_test"))
    k, seed = options.k, options.seed
    theirs = Theirs(k, seed)
    same = TransferClustering(k, encoder="pixels", reducer=theirs, clusterer=theirs, random_state=seed).fit(train)
    own = TransferClustering(k, random_state=seed).fit(train)
    space = same.assigner_.pca.transform(same.encode(test).features).numpy()
    their_seconds, found = timed(lambda: theirs.predict(space))
    raw = theirs.mixture.predict(same.embedding_.astype(np.float64))
    result: dict[str, Any] = {
        "n_train": len(train),
        "n_test": len(test),
        "seed": seed,
        "their_seconds": round(their_seconds, 2),
        "their_acc": metrics.accuracy(y_test, found),
    }
    for name, model in (("same_layout", same), ("own_pipeline", own)):
        seconds, assigned = timed(lambda model=model: model.predict(test))
        as_ours = renaming(raw, model.labels_, k)[found]
        result[name] = {
            "agreement": float((assigned == as_ours).mean()),
            "none_of_these": float((assigned < 0).mean()),
            "acc_test": metrics.accuracy(y_test, assigned),
            "acc_train": metrics.accuracy(y_train, model.labels_),
            "seconds": round(seconds, 2),
        }
    return result


def letters(which: str, rng: np.random.Generator, n: int = 1000) -> np.ndarray:
    """Draw `n` letters of `which` as MNIST draws digits: white on black, 20 pixels high, centred by mass."""
    import matplotlib

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


def unknown(options: argparse.Namespace) -> dict[str, Any]:
    """Which share of images that belong to no group `predict` rejects, and which share of known ones.

    A model of the training digits is asked about the test digits (known), and about images that are none: letters in
    the fonts that come with matplotlib, clothes, noise, and digits with their pixels shuffled, upside down or in
    negative. Also scikit-learn's digits of 8 × 8: fitted on half, asked about the other half and about noise.
    """
    rng = np.random.default_rng(0)
    with np.load(options.mnist) as data:
        train, test = data["x_train"], data["x_test"]
    with np.load(options.fashion) as data:
        clothes = data["x_test"][:2000]
    model = TransferClustering(options.k).fit(train)
    some = test[:2000]
    shuffled = rng.permuted(some.reshape(len(some), -1), axis=1).reshape(some.shape)
    plain = "".join(c for c in string.ascii_letters if c not in LIKE_DIGITS)
    others = {
        "letters": letters(plain, rng),
        "letters_like_digits": letters(LIKE_DIGITS, rng),
        "clothes": clothes,
        "uniform_noise": rng.integers(0, 256, (1000, *test.shape[1:]), np.uint8),
        "sparse_noise": np.where(rng.random((1000, *test.shape[1:])) < 0.19, 255, 0).astype(np.uint8),
        "shuffled_pixels": shuffled,
        "negatives": 255 - some,
        "upside_down": some[:, ::-1],
    }
    small = digits()[0]
    half = TransferClustering(10, encoder="pixels").fit(small[::2])
    return {
        "threshold": model.threshold,
        "mnist": {"known": refused(model, test), **{name: refused(model, x) for name, x in others.items()}},
        "digits_8x8": {
            "known": refused(half, small[1::2]),
            "uniform_noise": refused(half, rng.integers(0, 256, (1000, 8, 8), np.uint8)),
            "shuffled_pixels": refused(half, rng.permuted(small[1::2].reshape(-1, 64), axis=1).reshape(-1, 8, 8)),
        },
    }


def main() -> None:
    """Measure one thing and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="MEASUREMENT")
    for name, call, data in (("heldout", heldout, ["data"]), ("unknown", unknown, ["mnist", "fashion"])):
        command = commands.add_parser(name, description=call.__doc__)
        command.set_defaults(call=call)
        for positional in data:
            command.add_argument(positional)
        command.add_argument("-k", type=int, default=10)
        command.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(options.call(options)))


if __name__ == "__main__":
    main()
