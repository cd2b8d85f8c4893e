"""`ilk probe`: a run and true labels in, the accuracy of a linear classifier on every layer out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import compute, files, methods, report, runs
from ilk.data import open_images
from ilk.errors import ArgumentError, DataError
from ilk.probing.compared import Compared, Seen
from ilk.probing.linear import Schedule

__all__ = ["probe"]

OnEvent = Callable[[dict[str, Any]], Any]
Ints = npt.NDArray[np.int64]

FILE = "probe.json"
_TEST = 5  # one image in five is for testing where the source has no part for it


def probe(
    run: runs.Run | str | Path,
    labels: str,
    *,
    source: Any = None,
    images: tuple[int, int] | None = None,
    epochs: int = 90,
    augment: bool = False,
    ten_crop: bool = False,
    supervised: bool = True,
    seed: int = 0,
    cls: type[Any] | str | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    on_event: OnEvent | None = None,
) -> dict[str, Any]:
    """Train linear classifiers on every frozen layer of a run's network, and beside it of a random one.

    Parameters
    ----------
    run
        A finished run of a method that trains a network with stages (DeepCluster), or its folder.
    labels
        Where the true labels are: "auto", "folder", "prefix", a key of the npz, or a CSV file.
    source
        Other images than those of the run. Those with a training and a test part are used so; of others, every fifth in
        a random order is for testing.
    images : (int, int), optional
        At most so many for training and testing, drawn at random.
    epochs : int
        Of the classifiers.
    augment : bool
        Train on random crops and mirror images, as published: the network then sees every image in every epoch.
        Otherwise it sees each once, in the middle.
    ten_crop : bool
        Test on the mean over four corners, the centre and their mirror images.
    supervised : bool
        Train the same network on the labels, as long as the run trained (one epoch at least), and probe it too.
    seed : int
    cls, device, cache, on_event
        As in `ilk.predict`.

    Returns
    -------
    dict
        ``layers``, ``networks`` {"trained", "random", "supervised"}: a list over layers of {"values", "last", "best",
        "best_epoch"}; ``pixels``: the same for a classifier on the pixels; how it was made. Kept as ``probe.json`` in
        the run, with a picture in its report.

    Raises
    ------
    ArgumentError
        The run has no such network, or an option is out of its range.
    DataError
        No labels, or labels of one class only.

    Notes
    -----
    "last" is the accuracy after the last epoch. "best" is the highest of all epochs: test labels choose it, as in the
    published tables, so it flatters. Labels are used here and in `evaluate` alone, when the run is finished.
    """
    begin = time.perf_counter()
    notify: OnEvent = on_event or (lambda event: None)
    run = run if isinstance(run, runs.Run) else runs.load_run(run)
    schedule = Schedule(epochs=_whole("epochs", epochs))
    model = methods.rebuild(
        methods.registered(run.header["method"], cls),
        run.state(),
        f"the model in {run.path}",
        runs.AGAIN,
        params=run.header["params"],
        device=device,
        cache=cache,
    )
    if not hasattr(model, "views") or getattr(model, "network_", None) is None:
        raise ArgumentError(
            f"{run.path} has no network with layers to probe: method {run.header['method']} trained none."
        )
    parts, classes = _parts(run, model, labels, source, images, seed, notify)
    compared = Compared(model, parts, len(classes), schedule, seed, augment=augment, ten_crop=ten_crop, notify=notify)
    lessons = max(len(_epochs(run)), 1)
    found = compared.all(supervised=supervised, epochs=lessons)
    test = parts["test"]
    entry = {
        "run": str(run.path),
        "labels": str(labels),
        "network": model.network_name_,
        "layers": compared.layers,
        **found,
        "n_train": len(parts["train"]),
        "n_test": len(test),
        "classes": len(classes),
        "most_frequent": round(float(np.bincount(test.classes).max() / len(test)), 4),
        "schedule": vars(schedule),
        "training_views": "random crops, flipped" if augment else "the centre, seen once",
        "test_views": "ten crops" if ten_crop else "the centre",
        "supervised_epochs": lessons if supervised else 0,
        "seed": seed,
        "device": str(compute.device(device)),
        "seconds": round(time.perf_counter() - begin, 1),
    }
    runs.write_json(run.path / FILE, entry)
    _picture(run, entry)
    return entry


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name}={value!r}: give a whole number of at least 1.")
    return value


def _epochs(run: runs.Run) -> list[Mapping[str, Any]]:
    return [record for record in run.header.get("history", []) if "loss" in record]


def _parts(
    run: runs.Run, model: Any, labels: str, source: Any, images: tuple[int, int] | None, seed: int, notify: OnEvent
) -> tuple[dict[str, Seen], list[Any]]:
    """Return the images and classes for training and testing, and the classes' names."""
    entry = run.header["source"]
    spec, split = (source, "all") if source is not None else (entry.get("spec"), entry.get("split", "all"))
    if spec is None:
        raise DataError("this run was made from an array in memory: give the images with --source.")
    where = entry if source is None else {"spec": source}
    try:
        files_of = {part: files.open_again(where, part) for part in ("train", "test")}
    except (ArgumentError, DataError):
        files_of = {"all": files.open_again(where, split)}
    sources = {part: open_images(one) for part, one in files_of.items()}
    found = {}
    for part, opened in sources.items():
        truth = files.truth(labels, files_of[part])
        if not truth:
            raise DataError(f"no labels for {spec}: name them with --labels folder, prefix, KEY or FILE.csv.")
        found[part] = truth, opened
    names = sorted({str(label) for truth, _ in found.values() for label in truth.values()})
    if len(names) < 2:
        raise DataError(f"all images have the same label ({names[0]!r}): there is nothing to classify.")
    number = {name: i for i, name in enumerate(names)}
    draws = np.random.default_rng(seed)
    parts: dict[str, Seen] = {}
    for part, (truth, opened) in found.items():
        notify({"event": "found", "n": len(opened), "what": f"{part} image" if part != "all" else "image", "notes": []})
        views, packed = model.views(
            opened, lambda done, total: notify({"event": "stage", "stage": "encode", "done": done, "total": total})
        )
        known = [truth.get(name) for name in opened.names(packed.facts.rows)]
        rows = np.array([i for i, label in enumerate(known) if label is not None], np.int64)
        if len(rows) < 2:
            raise DataError(f"{len(rows)} of the {part} images have a label: too few to learn from.")
        classes = np.array([number[str(known[i])] for i in rows], np.int64)
        order = draws.permutation(len(rows))
        parts[part] = Seen(views, rows[order], classes[order])
    if "all" in parts:
        whole = parts.pop("all")
        n_test = max(1, len(whole) // _TEST)
        parts = {"train": whole.part(slice(n_test, None)), "test": whole.part(slice(0, n_test))}
    if images is not None:
        for part, most in zip(("train", "test"), images, strict=True):
            parts[part] = parts[part].part(slice(0, _whole("images", most)))
    return parts, names


def _picture(run: runs.Run, entry: Mapping[str, Any]) -> None:
    """Put the accuracy of every layer into the pictures of the run, and write its report anew."""
    layers = entry["layers"]
    series = {name: [layer["last"] for layer in found] for name, found in entry["networks"].items()}
    series["pixels"] = [entry["pixels"]["last"]] * len(layers)
    figure = {
        "name": "probe",
        "title": "What each layer knows: linear classifiers on frozen layers",
        "caption": f"Accuracy on {entry['n_test']} test images after the last of {entry['schedule']['epochs']} epochs, "
        f"{entry['classes']} classes, {entry['n_train']} training images. Layers: {', '.join(layers)}. Labels are used "
        "for this alone, after the run.",
        "kind": "lines",
        "x": np.arange(1, len(layers) + 1),
        "series": series,
        "x_label": "layer",
        "y_label": "accuracy",
    }
    others = [one for one in run.figures() if one["name"] != "probe"]
    runs.save_figures(run.path, [*others, runs.checked_figure(figure)])
    report.write_plots(run)
    report.write_report(run)
