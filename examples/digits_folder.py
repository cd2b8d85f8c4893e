"""Write the handwritten digits that ship with scikit-learn as a folder of PNG files: real images, no download.

    python examples/digits_folder.py FOLDER

What stands before the first ``_`` of a name is the digit, so ``--labels prefix`` can score the groups afterwards.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def main(folder: Path, first: int = 0, last: int | None = None) -> None:
    """Write 1,797 PNG files of 8 × 8 pixels below `folder`, or some of them, unless they are there already."""
    digits = load_digits()
    pixels = np.round(digits.images * 255 / 16).astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    rows = range(len(pixels))[first:last]
    for i in rows:
        path = folder / f"{digits.target[i]}_{i:04}.png"
        if not path.exists():
            Image.fromarray(pixels[i]).save(path)
    print(f"{len(rows):,} handwritten digits in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
