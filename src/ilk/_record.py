"""How a fitted model becomes the files of a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ilk import _kept, _near, _suggested, cautions, disk, report, runs
from ilk.errors import ArgumentError, MissingDependency, RunError

if TYPE_CHECKING:
    from ilk.describe import Description

_NOT_SCORED = "not scored: "
FIRST = "first-groups.png"  # only as long as the job runs

Looks = dict[int, list[dict[str, Any]]]
Score = Callable[[runs.Run], tuple[Mapping[str, Any] | None, str | None]]
"""A run that is written but for its report -> its scores, or why there are none."""

Name = Callable[[npt.NDArray[np.int64], npt.NDArray[np.float32]], tuple[Looks, list[str], float]]


def write(
    writer: runs.RunWriter,
    model: Any,
    images: Any,
    source: Any,
    seconds: dict[str, float],
    begin: float,
    name: Name | None = None,
    score: Score | None = None,
    copies: bool | None = None,
) -> None:
    """Write everything a run folder holds.

    `name` finds words for the groups, `score` holds them against labels; `copies`: see `ilk._kept.write`.
    """
    from ilk.describe import describe

    started = time.perf_counter()
    encoded = model.encoded_
    rows = encoded.rows  # the source's index of every row of the features
    labels = model.labels_
    confidence = getattr(model, "confidence_", None)
    confidence = model.probabilities_.max(1) if confidence is None else confidence
    reduced = _reduced(model)
    described = describe(model.embedding_, model.space_, labels[rows], confidence[rows], reduced=reduced is not None)
    looks, notes, naming = name(labels[rows], described.distance) if name is not None else ({}, [], 0.0)
    started += naming
    whole = encoded.whole or encoded  # where near duplicates count as one image, with a row for each of them
    _near.write(writer, model, _features_are(model) == "features")
    limit = writer.header["near"]["limit"]
    writer.update(warnings=[*writer.header["warnings"], *notes, *_cautions(model, images.names(), limit)])
    _images(writer, whole, images.names())
    _assignments(writer, encoded, labels, confidence, described, getattr(model, "fine_labels_", None))
    writer.json("clusters.json", _clusters(described, rows, labels, encoded.position, looks))
    spaces = {"silhouette": _features_are(model), "silhouette_reduced": reduced}
    writer.update(quality={name: {"space": spaces[name], "sample": n} for name, n in described.samples.items()})
    choice = _evidence(writer, model, reduced)
    if why := _kept.write(writer, whole, copies):
        writer.update(warnings=[*writer.header["warnings"], f"features and thumbnails are copied: {why}"])
    writer.array("map.npy", _map(writer, model, encoded.position))
    writer.state(model.state())
    _keep_weights(writer, model)
    _figures(writer, model)
    (writer.folder / FIRST).unlink(missing_ok=True)
    stages = {record["stage"]: record["seconds"] for record in model.history_ if "seconds" in record}
    seconds |= {name: stages.get(name, 0.0) for name in ("encode", "near", "reduce", "cluster")}
    seconds["encode"] = encoded.seconds
    writer.update(encoded={"now": encoded.n_encoded, "cached": encoded.n_cached})
    seconds |= {"name": naming} if looks else {}
    writer.update(encoder=_encoder(model), **_machine(model), history=model.history_, scores=None)
    _summarise(writer, model, seconds, choice, begin)
    run, listing = runs.Run(writer.folder, writer.header), getattr(images, "listing", None)
    _scored(run.header["summary"], *((None, None) if score is None else score(run)))
    report.write_plots(run, listing)
    seconds["report"] = time.perf_counter() - started
    _timed(writer, seconds, begin)  # the page itself shows these seconds
    report.write_report(run, source=listing)
    seconds["report"] = time.perf_counter() - started
    _timed(writer, seconds, begin)


def _evidence(writer: runs.RunWriter, model: Any, reduced: str | None) -> Any:
    """Write what the number of groups was chosen by, and how good the neighbours are; return the choice, if any."""
    choice = getattr(model, "k_choice_", None)
    if choice is not None:
        writer.json("k_table.json", choice.table)
        known = [name for name in ("clear", "why", "best", "number") if hasattr(choice, name)]
        writer.update(choice={**{name: getattr(choice, name) for name in known}, "space": reduced})
        _suggested.write(writer, model)
    graph = getattr(model, "graph_", None)
    if graph is not None:
        writer.update(neighbors={"exact": graph.recall is None, "recall": graph.recall})
    return choice


def _timed(writer: runs.RunWriter, seconds: Mapping[str, float], begin: float) -> None:
    """Put the seconds of all stages into run.json."""
    found = {name: round(value, 2) for name, value in {**seconds, "total": time.perf_counter() - begin}.items()}
    writer.header["summary"]["seconds"] = found
    writer.update(seconds=found)


def _scored(summary: dict[str, Any], scores: Mapping[str, Any] | None, why: str | None = None) -> None:
    """Put the five scores into the summary, or why there are none."""
    five = ("acc", "nmi", "nmi_geometric", "ari", "purity")
    warnings = [text for text in summary["warnings"] if scores is None or not text.startswith(_NOT_SCORED)]
    if why is not None and (warning := f"{_NOT_SCORED}{why}") not in warnings:
        warnings.append(warning)
    summary["warnings"] = warnings
    if scores is not None:
        summary["scores"] = {name: scores[name] for name in five}


def add_scores(run: runs.Run, scores: Mapping[str, Any], images: Any) -> None:
    """Put scores into the summary of a finished run, and into its report."""
    _scored(run.header["summary"], scores)
    runs.write_json(run.path / "run.json", run.header)
    report.write_report(run, source=getattr(images, "listing", None))


def not_scored(run: runs.Run, why: str) -> None:
    """Put a warning into the summary of a finished run, once."""
    before = list(run.header["summary"]["warnings"])
    _scored(run.header["summary"], None, why)
    if before != run.header["summary"]["warnings"]:
        runs.write_json(run.path / "run.json", run.header)


def _images(writer: runs.RunWriter, encoded: Any, names: list[str]) -> None:
    import pyarrow as pa

    position, rows = encoded.position, encoded.rows
    kept = [
        names[rows[at]] if status == "duplicate" else None for at, status in zip(position, encoded.status, strict=True)
    ]
    writer.table(
        "images.parquet",
        {
            "index": np.arange(len(names)),
            "path": names,
            "bytes": np.asarray(encoded.sizes, np.int64),
            "width": np.asarray(encoded.widths, np.int32),
            "height": np.asarray(encoded.heights, np.int32),
            "status": list(encoded.status),
            "duplicate_of": pa.array(kept, pa.string()),
            "reason": pa.array(encoded.reasons, pa.string()),
            "content": [name.hex() or None for name in encoded.hashes],
        },
    )


def _assignments(
    writer: runs.RunWriter,
    encoded: Any,
    labels: npt.NDArray[np.int64],
    confidence: npt.NDArray[np.float32],
    described: Description,
    fine: npt.NDArray[np.int64] | None,
) -> None:
    import pyarrow as pa

    index = np.flatnonzero(encoded.position >= 0)
    at = encoded.position[index]
    columns = {
        "index": index,
        "group": labels[index],
        "confidence": confidence[index],
        "distance": described.distance[at],
        "second": pa.array(described.second[at], mask=described.second[at] < 0),
        "silhouette": described.silhouette[at],
        "silhouette_reduced": described.silhouette_reduced[at],
    }
    writer.table("assignments.parquet", columns if fine is None else {**columns, "fine": fine[index]})


def _clusters(
    described: Description,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    position: npt.NDArray[np.int64],
    looks: Looks,
) -> list[dict[str, Any]]:
    """Groups with the source's image indices instead of feature rows, and sizes that count duplicates."""
    read = position >= 0
    return [
        {
            **group,
            "size": int(((labels == group["id"]) & read).sum()),
            "looks_like": looks.get(group["id"], []),
            "exemplars": rows[group["exemplars"]].tolist(),
            "borderline": rows[np.asarray(group["borderline"], np.int64)].tolist(),
        }
        for group in described.groups
    ]


def _machine(model: Any) -> dict[str, Any]:
    """Return what a fit ran on: threads share sums, so their number changes last digits, and a training's end."""
    from ilk import compute

    return {"device": str(getattr(model, "device_", "cpu")), "threads": compute.threads()}


def _cautions(model: Any, names: list[str], limit: float | None) -> list[str]:
    """Return notes on groups that say little of what is in the images."""
    encoded, labels = model.encoded_, model.labels_
    read = encoded.position >= 0
    slot = np.flatnonzero(read)
    found = cautions.collapsed(labels[slot])
    found += cautions.file_traits(
        labels[slot], encoded.widths[slot], encoded.heights[slot], [names[i] for i in slot.tolist()]
    )
    if _features_are(model) == "features" and encoded.whole is None:
        graph = getattr(model, "graph_", None)
        near = cautions.nearest_rows(model.space_) if graph is None else graph.index
        if near is not None:
            counts = np.bincount(encoded.position[slot], minlength=len(encoded.rows))
            network = bool(getattr(model.encoder_, "weights_files", []))
            limit = limit or (cautions.CLOSE_IN_NETWORK if network else cautions.CLOSE)
            found += cautions.near_copies(encoded.features, labels[encoded.rows], near, counts, limit=limit)
    return found


def _features_are(model: Any) -> str:
    """Return "features", or "learned features" where they were made by a training on these very images.

    Such a training pulls its groups apart, whatever they are: how far they lie apart says little about the images.
    """
    frozen = hasattr(getattr(model, "encoder_", None), "spec") and not getattr(model, "learned_", False)
    return "features" if frozen else "learned features"


def _reduced(model: Any) -> str | None:
    """Return what the space is called that the groups were sought in, or None where that is the features' own."""
    if hasattr(model, "reduced_"):
        name: str | None = model.reduced_
        return name
    return None if model.embedding_ is model.space_ else f"{model.embedding_.shape[1]} dimensions"


def _map(writer: runs.RunWriter, model: Any, position: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return the map. A finished fit is not lost where UMAP does not load: principal components do."""
    from ilk import layout

    graph = getattr(model, "graph_", None)
    try:
        placed = layout.map_2d(model.space_, graph=graph, seed=int(model.random_state))
    except MissingDependency:
        placed = layout.principal_2d(model.space_)
        note = "umap-learn does not load here: the map shows the first two principal components"
        writer.update(warnings=[*writer.header["warnings"], note])
    return np.where(position[:, None] >= 0, placed[position], np.float32("nan")).astype(np.float32)


def _keep_weights(writer: runs.RunWriter, model: Any) -> None:
    """Give the run its own copies of the encoder's weights: damage of the cache's is not damage of the run's."""
    for number, weights in enumerate(getattr(getattr(model, "encoder_", None), "weights_files", [])):
        target = writer.folder / "model" / _weights_name(number)
        with disk.opened(weights, follow=True) as source:
            disk.copied(source, target)


def _weights_name(number: int) -> str:
    """Return the name of a file of weights; encoders side by side have several.

    >>> _weights_name(0), _weights_name(1)
    ('encoder.safetensors', 'encoder-2.safetensors')
    """
    return "encoder.safetensors" if number == 0 else f"encoder-{number + 1}.safetensors"


def _figures(writer: runs.RunWriter, model: Any) -> None:
    """Store the method's own figures. What cannot be stored becomes a warning: it must not cost a finished fit."""
    kept: dict[str, dict[str, Any]] = {}
    wrong = []
    try:
        for figure in getattr(model, "figures", list)():
            try:
                figure = runs.checked_figure(figure)
                if figure["name"] in kept:
                    raise ArgumentError(f"figure {figure['name']!r}: another one has this name.")
                kept[figure["name"]] = figure
            except ArgumentError as error:
                wrong.append(f"a picture of the method is left out: {error}")
    except Exception as error:  # whatever a method's own code does wrong
        wrong.append(f"pictures of the method are left out: {type(error).__name__}: {error}")
    writer.figures(list(kept.values()))
    if wrong:
        writer.update(warnings=[*writer.header["warnings"], *wrong])


def weights_of(run: runs.Run) -> Path | list[Path] | None:
    """Return the encoder's weights kept in `run`: a file, several where encoders stand side by side, or None.

    Raises
    ------
    RunError
        One is a link or no regular file.
    """
    files: list[Path] = []
    try:
        while True:
            path = disk.within(run.path, "model", _weights_name(len(files)))
            disk.opened(path).close()
            files.append(path)
    except FileNotFoundError:
        return files if len(files) > 1 else files[0] if files else None
    except OSError as error:
        raise RunError(f"{error.filename} cannot be used: {error.strerror}. {runs.AGAIN}") from None


def _encoder(model: Any) -> dict[str, Any] | None:
    """Return what is said of the encoder: the frozen one, the network that was trained (its name alone), or None."""
    encoder = getattr(model, "encoder_", None)
    if encoder is None:
        name = getattr(model, "network_name_", None)
        return name and {"name": name, "why": "trained on these images", "backend": "torch", "notes": []}
    return {"name": encoder.name, "why": encoder.why, "backend": encoder.backend, "notes": list(encoder.notes)}


def _summarise(writer: runs.RunWriter, model: Any, seconds: dict[str, float], choice: Any, begin: float) -> None:
    """Put the JSON object of the command line into run.json."""
    encoded, labels = model.encoded_, model.labels_
    read = encoded.position >= 0
    n_noise = int((labels[read] < 0).sum())
    warnings = [*writer.header["warnings"], *model.notes_]
    if n_noise:
        warnings.append(f"{n_noise} image(s) belong to no group (cluster -1)")
    summary = {
        "run": str(writer.path),
        "method": writer.header["method"],
        "encoder": (_encoder(model) or {"name": None})["name"],
        "n_images": int(read.sum()),
        "n_unreadable": int((~read).sum()),
        "n_duplicates": sum(status == "duplicate" for status in encoded.status),
        "n_near_duplicates": writer.header["near"]["n"],
        "n_clusters": int(model.n_clusters_),
        "sizes": np.bincount(labels[labels >= 0], minlength=model.n_clusters_).tolist(),
        "groups": [
            {"id": group["id"], "name": group["name"], "size": group["size"], "looks_like": group["looks_like"]}
            for group in runs.Run(writer.folder, writer.header).clusters()
        ],
        "k_table": choice.table if choice else [],
        "suggested": choice.suggested() if choice else {"coarse": None, "natural": None, "fine": None},
        "scores": None,
        "seconds": {},
        "images_per_second": round(float(encoded.images_per_second), 1),
        "warnings": list(dict.fromkeys(warnings)),
    }
    writer.update(summary=summary)
    _timed(writer, seconds, begin)


def write_table(path: Path, columns: Mapping[str, list[Any]]) -> None:
    """Write `columns` as CSV or Parquet by the ending of `path`; a pipe or a device without an ending gets CSV."""
    import pyarrow.csv
    import pyarrow.parquet

    kind = path.suffix.lower() or (".csv" if disk.is_special(path) else "")
    if kind not in (".csv", ".parquet"):
        raise RunError(f"cannot write {path}: give a name that ends in .csv or .parquet.")
    table = runs.written(columns)
    try:
        with disk.output(path) as file:
            if kind == ".csv":
                pyarrow.csv.write_csv(table, file)
            else:
                pyarrow.parquet.write_table(table, file)
    except BrokenPipeError:  # whoever read it has left
        raise
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from None
