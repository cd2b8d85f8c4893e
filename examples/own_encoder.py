"""An encoder of your own: any function from pixels to a vector for each image.

    python examples/own_encoder.py [WORK]

What lies close together in the encoder's space ends up in one group. So the encoder decides what "alike" means.
"""

import sys
from pathlib import Path

import digits_folder
import numpy as np

import ilk


def ink(pixels: np.ndarray) -> np.ndarray:
    """How much is drawn in each row and column: uint8 (b, height, width, 3) in, float32 (b, height + width) out."""
    drawn = pixels.mean(axis=3, dtype=np.float32) / 255
    return np.concatenate([drawn.mean(axis=1), drawn.mean(axis=2)], axis=1)


def main(work: Path) -> None:
    images = work / "digits"
    digits_folder.main(images, 0, 300)

    # image_size: to which side images are brought before the encoder sees them.
    own = ilk.TransferClustering(10, encoder=ink, settings={"image_size": 16}).fit(images)
    built_in = ilk.TransferClustering(10, encoder="gradients").fit(images)

    # Labels are for scores alone. Here the digit stands at the front of each name: 7_0123.png.
    digits = [int(name[0]) for name in ilk.open_images(images).names()]
    for name, model in (("ink", own), ("gradients", built_in)):
        shares = [np.bincount(np.array(digits)[model.labels_ == group]).max() for group in set(model.labels_)]
        print(f"{name}: {sum(shares) / len(digits):.0%} of the images are in a group of mostly their own digit")

    # A network works the same way: torch.nn.Module, or on the command line --encoder own_encoder:ink. With a name
    # (encoder_key="ink-v1") its features are kept for the next time.
    print("group of the first image:", own.predict([images / ilk.open_images(images).names()[0]])[0])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ilk-examples"))
