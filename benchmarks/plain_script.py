"""The plain script: features of a folder of images as people write it. What `ilk` is measured against.

    python benchmarks/plain_script.py FOLDER [--model fast | --model NAME --weights FILE] [--batch-size 32] [--limit N]

timm's model and evaluation transform, torch's DataLoader with 2 workers, fp32, batches of 32, no_grad. Prints one JSON
object: images, seconds, images_per_second (from the first batch asked for to the last feature, model loading apart).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data import create_transform, resolve_data_config
from torch.utils.data import DataLoader, Dataset

from ilk.encoders import bundled, names  # the short name and the weights; nothing of ours is timed


class Images(Dataset):
    """The images below a folder, transformed."""

    def __init__(self, root: Path, transform, limit: int | None) -> None:
        self.paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})[
            :limit
        ]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        with Image.open(self.paths[row]) as image:
            return self.transform(image.convert("RGB"))


def cpu_seconds() -> float:
    """Return CPU seconds of this process and of its finished workers."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def main() -> None:
    """Encode a folder and print how fast that was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()

    name = names.parts(options.model)[0]
    model = timm.create_model(name, num_classes=0)
    state = bundled.state(name) if options.weights is None else load_file(options.weights)
    model.load_state_dict({key: value for key, value in state.items() if not key.startswith("classifier.")})
    model.eval()
    images = Images(options.folder, create_transform(**resolve_data_config({}, model=model)), options.limit)
    loader = DataLoader(images, batch_size=options.batch_size, num_workers=2)

    start, used = time.perf_counter(), cpu_seconds()
    features = []
    with torch.no_grad():
        for batch in loader:
            features.append(model(batch))
    seconds = time.perf_counter() - start
    del loader, batch
    cpu = cpu_seconds() - used
    found = {
        "images": len(images),
        "features": list(torch.cat(features).shape),
        "seconds": seconds,
        "images_per_second": len(images) / seconds,
        "cpu_ms": 1000 * cpu / len(images),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
