"""Near duplicates against known truth: a burst among photos, copies of kinds that set no limit, images much alike.

    python benchmarks/near_duplicates.py burst PHOTOS.tar [--seed N]
    python benchmarks/near_duplicates.py copies PHOTOS.tar [--seed N]
    python benchmarks/near_duplicates.py alike MNIST.npz FASHION.npz [--n N]
    python benchmarks/near_duplicates.py outliers PHOTOS.tar [--seed N]
    python benchmarks/near_duplicates.py large [--n N]

`burst`: 400 shots of one dress (moved by up to 6 % of the side, brighter or darker by up to 15 %, saved as JPEG) among
150 other photos, fifteen of each kind, in ten groups: how many groups the burst takes, and the accuracy of the others.
`copies`: of 100 photos one changed copy by each of a dozen changes, one kind a run: precision and recall over pairs of
images in one stack. `alike`: handwritten digits and small clothes, of which no two are the same: images stacked.
`outliers`: ten pictures that are no clothes among the photos: how many are found, and how many photos beside them.
`large`: seconds and memory of limit and stacks for features of 100,000 images, drawn so that a tenth has a near copy.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

import ilk
from ilk import near
from ilk.metrics import accuracy

SHOTS, OTHERS, COPIED = 400, 150, 100
Change = Callable[[Image.Image], Image.Image]


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def cut(image: Image.Image, share: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
    left, top = round((image.width - width) * x), round((image.height - height) * y)
    return image.crop((left, top, left + width, top + height))


def scaled(image: Image.Image, share: float) -> Image.Image:
    size = max(8, round(image.width * share)), max(8, round(image.height * share))
    return image.resize(size, Image.Resampling.BICUBIC)


def stamped(image: Image.Image) -> Image.Image:
    found = image.copy()
    ImageDraw.Draw(found).text((10, found.height - 24), "2024-05-17  14:03", fill=(255, 200, 0))
    return found


CHANGES: dict[str, Change] = {
    "JPEG, quality 30": lambda image: as_jpeg(image, 30),
    "half the size": lambda image: scaled(image, 0.5),
    "a third of the size": lambda image: scaled(image, 1 / 3),
    "cut by 8 % in the middle": lambda image: cut(image, 0.08),
    "cut by 8 % at a corner": lambda image: cut(image, 0.08, 0, 0),
    "cut by 15 %": lambda image: cut(image, 0.15),
    "contrast + 20 %": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "colour - 30 %": lambda image: ImageEnhance.Color(image).enhance(0.7),
    "turned by 2 degrees": lambda image: cut(image.rotate(2, Image.Resampling.BICUBIC), 0.06),
    "turned by 5 degrees": lambda image: cut(image.rotate(5, Image.Resampling.BICUBIC), 0.12),
    "flipped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "stamped with a date": stamped,
}


def photos(archive: str) -> list[tuple[str, Image.Image]]:
    """Return (kind, photo), by name."""
    found = sorted(common.members(archive))
    return [(Path(name).parent.name, Image.open(io.BytesIO(data)).convert("RGB")) for name, data in found]


def burst(archive: str, seed: int) -> dict[str, Any]:
    """Count the groups that a burst takes, and score the other photos, as they are and stacked."""
    rng, known = np.random.default_rng(seed), photos(archive)
    kinds = sorted({kind for kind, _ in known})
    of = {kind: [i for i, (own, _) in enumerate(known) if own == kind] for kind in kinds}
    star = int(rng.choice(of["dress"]))
    others = [i for kind in kinds for i in rng.permutation([i for i in of[kind] if i != star])[: OTHERS // len(kinds)]]
    found: dict[str, Any] = {"seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(SHOTS):
            shot = cut(known[star][1], rng.uniform(0, 0.06), *rng.uniform(0, 1, 2))
            shot = ImageEnhance.Brightness(shot).enhance(rng.uniform(0.85, 1.15))
            shot.save(Path(folder) / f"burst_{i:03}.jpg", quality=int(rng.integers(60, 95)))
        for i in others:
            known[i][1].save(Path(folder) / f"{known[i][0]}_{i:03}.jpg", quality=95)
        for how in ("keep", "stack"):
            run = ilk.cluster(
                folder, Path(folder).with_name(f"{Path(folder).name}-{how}"), labels="none", names=False,
                options={"n_clusters": 10, "near_duplicates": how, "cache": f"{folder}-cache", "random_state": seed},
            )  # fmt: skip
            names, labels = run.images()["path"], run.labels()
            mine = np.array([name.startswith("burst") for name in names])
            share = [mine[labels == group].mean() for group in np.unique(labels)]
            truth = [name.partition("_")[0] for name in names]
            there = np.flatnonzero(~mine)
            heads = near.stacks(run)
            found[how] = {
                "groups of the burst": int(np.sum(np.array(share) > 0.5)),
                "accuracy of the others": round(float(accuracy([truth[i] for i in there], labels[there].tolist())), 3),
                "stacks of the burst": len(np.unique(heads[mine])),
                "others in stacks": int((heads[there] != there).sum()),
                "notes": [note for note in run.summary()["warnings"] if "nearly the same" in note],
                **{key: run.header["near"][key] for key in ("limit", "copies")},
            }
    return found


def copies(archive: str, seed: int) -> dict[str, Any]:
    """Return precision and recall of stacks over pairs, for each change."""
    rng, known = np.random.default_rng(seed), photos(archive)
    chosen = rng.choice(len(known), COPIED, replace=False)
    found: dict[str, Any] = {"seed": seed}
    for name, change in CHANGES.items():
        with tempfile.TemporaryDirectory() as folder:
            for i, (_, image) in enumerate(known):
                image.save(Path(folder) / f"{i:04}.png", compress_level=1)
            for i in chosen:
                change(known[i][1]).save(Path(folder) / f"{i:04}_copy.png", compress_level=1)
            model = ilk.TransferClustering(10, cache="benchmarks/runs/near-cache").fit(folder)
            heads = model.encoded_.rows[model.near_.heads[model.encoded_.position]]
            names = [path.name for path in sorted(Path(folder).iterdir())]
        found[name] = {"limit": model.near_.limit.value, **_pairs(heads, [int(name[:4]) for name in names])}
    return found


def _pairs(heads: np.ndarray, truth: list[int]) -> dict[str, float]:
    """Return precision and recall of pairs of images that share a stack."""
    own = np.array(truth)
    stacked = np.triu(heads[:, None] == heads, 1)
    true = np.triu(own[:, None] == own, 1)
    both = int((stacked & true).sum())
    return {
        "precision": round(both / max(1, int(stacked.sum())), 3),
        "recall": round(both / max(1, int(true.sum())), 3),
        "pairs": int(stacked.sum()),
    }


def alike(archives: list[str], n: int) -> dict[str, Any]:
    """Count what is stacked among images of which no two are the same."""
    images = {"digits": common.digits()[0].astype(np.uint8) * 15}
    images |= {Path(one).stem: np.load(one)["x_test"][:n] for one in archives}
    found = {}
    for name, pixels in images.items():
        model = ilk.TransferClustering(10).fit(pixels)
        found[name] = {
            "images": len(pixels),
            "encoder": model.encoder_.name,
            "limit": model.near_.limit.value,
            "copies": model.near_.limit.copies,
            "stacked": model.near_.count,
        }
    return found


def outliers(archive: str, seed: int) -> dict[str, Any]:
    """Put pictures that are no clothes among photos, and see which images fit no group."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        for i, (_, image) in enumerate(photos(archive)):
            image.save(Path(folder) / f"{i:04}.jpg", quality=95)
        for i in range(10):
            odd(i, rng).save(Path(folder) / f"odd_{i}.png")
        run = ilk.cluster(
            folder, f"{folder}-run", labels="none", names=False, options={"n_clusters": 10, "random_state": seed}
        )
        heads = near.stacks(run)  # one of each stack is listed, and stands for the others
        rows = [row for head in near.outliers(run) for row in np.flatnonzero(heads == head)]
        names = [run.images()["path"][row] for row in rows]
    return {
        "seed": seed,
        "of ten that fit nowhere": sum(name.startswith("odd") for name in names),
        "other photos": sum(not name.startswith("odd") for name in names),
        "first ten": names[:10],
    }


def odd(number: int, rng: np.random.Generator) -> Image.Image:
    """Return noise, a page of text, a plot, a sky of colours or a maze."""
    kind, side = number % 5, 320
    if kind == 0:
        return Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    if kind == 1:
        for line in range(0, side, 14):
            draw.text((8, line), "".join(chr(c) for c in rng.integers(97, 123, 45)), fill="black")
    elif kind == 2:
        draw.line([(x, int(160 + 60 * rng.standard_normal())) for x in range(0, side, 8)], fill="blue", width=2)
        draw.rectangle((20, 20, 300, 300), outline="black")
    elif kind == 3:
        ramp = np.linspace(0, 255, side, dtype=np.uint8)
        colours = [np.broadcast_to(np.roll(ramp, int(rng.integers(side)))[:, None], (side, side)) for _ in range(3)]
        return Image.fromarray(np.stack(colours, 2))
    else:
        for x in range(0, side, 16):
            for y in range(0, side, 16):
                draw.line((x, y, x + 16, y + 16) if rng.random() < 0.5 else (x + 16, y, x, y + 16), "black", 3)
    return image


def large(n: int, d: int = 1280) -> dict[str, Any]:
    """Measure limit and stacks for features of many images."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((200, d)).astype(np.float32)
    features = np.empty((n, d), np.float16)
    for start in range(0, n, 4096):
        rows = min(4096, n - start)
        own = np.abs(0.7 * centers[rng.integers(0, 200, rows)] + rng.standard_normal((rows, d), np.float32))
        features[start : start + rows] = own
    copied = rng.permutation(n)[: n // 10 * 2]
    near_copy = np.asarray(features[copied[: n // 10]], np.float32)
    features[copied[n // 10 :]] = near_copy + 0.1 * rng.standard_normal(near_copy.shape).astype(np.float32)
    steps = np.linalg.norm(near.unit(features[copied[: n // 10]]) - near.unit(features[copied[n // 10 :]]), axis=1)
    begin = time.perf_counter(), time.process_time()
    limit = near.find(features, steps[:96])
    middle = time.perf_counter(), time.process_time()
    assert limit.value is not None
    heads = near.lead(features, np.arange(n), limit.value)
    end = time.perf_counter(), time.process_time()
    return {
        "images": n,
        "limit": limit.value,
        "stacked": int((heads != np.arange(n)).sum()),
        "seconds of the limit, of all cores": [round(a - b, 1) for a, b in zip(middle, begin, strict=True)],
        "seconds of the stacks, of all cores": [round(a - b, 1) for a, b in zip(end, middle, strict=True)],
        "features, MiB": round(features.nbytes / 2**20),
        "peak, MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("burst", "copies", "alike", "outliers", "large"))
    parser.add_argument("data", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=None)
    given = parser.parse_args()
    if given.what == "alike":
        found = alike(given.data, given.n or 5000)
    elif given.what == "large":
        found = large(given.n or 100_000)
    else:
        found = {"burst": burst, "copies": copies, "outliers": outliers}[given.what](given.data[0], given.seed)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
