"""Features that you have already: from a network of yours, a database, another tool. ilk groups them as they are.

    python examples/own_features.py [WORK]

The pictures are then only for looking at; they are read for the report, and not encoded.
"""

import sys
from pathlib import Path

import digits_folder
import numpy as np
from PIL import Image

import ilk


def embed(path: Path) -> np.ndarray:
    """Stand in for whatever made your features: here the amplitudes of waves in the picture."""
    waves = np.abs(np.fft.rfft2(np.asarray(Image.open(path), np.float32)))
    return np.log1p(waves).ravel()


def main(work: Path) -> None:
    images = work / "digits"
    digits_folder.main(images, 0, 300)

    # One row for each image, in the order in which ilk lists them. A Parquet file with a column `path` may have them in
    # any order.
    names = ilk.open_images(images).names()
    features = np.stack([embed(images / name) for name in names])
    np.save(work / "features.npy", features)

    # With the pictures beside them: groups that can be looked at. On the command line:
    #     ilk cluster digits --features features.npy -k 10
    source = ilk.open_images(images, features=work / "features.npy")
    model = ilk.TransferClustering(10).fit(source)
    print("images by group:", np.bincount(model.labels_).tolist())

    # Without any pictures: a float array (n, d) is enough.
    alone = ilk.TransferClustering(10).fit(features)
    print("without pictures:", np.bincount(alone.labels_).tolist())

    # New vectors are placed into the groups that were found; -1 is none of them.
    noise = np.random.default_rng(0).normal(100, 50, (3, features.shape[1])).astype(np.float32)
    print("groups of three rows of noise:", alone.predict(noise).tolist())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ilk-examples"))
