"""Score every epoch of a DAC run against true labels, afterwards: the labels never entered the fit.

    python benchmarks/dac_curve.py RUN [--labels auto]

RUN is a finished run, or one that is still being trained (RUN.partial): its groups after every epoch are read from the
model or from the checkpoint. Prints one JSON object with ACC, NMI and ARI per epoch beside what the run itself knew. No
epoch is chosen: the last one is the result.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from ilk import files, metrics, runs
from ilk.data import open_images, pack


def read(path: Path) -> tuple[dict[str, Any], np.ndarray, list[dict[str, Any]], bool]:
    """Return the header, groups after every epoch (e, n), the epochs' records, and whether the run is finished."""
    if (path / "run.json").exists() and (path / "model").exists():
        run = runs.load_run(path)
        history = [record for record in run.header["history"] if "epoch" in record]
        return run.header, np.asarray(run.state()["assignments"]), history, True
    partial = path if path.name.endswith(".partial") else path.with_name(path.name + ".partial")
    header = json.loads((partial / "run.json").read_text("utf-8"))
    state = runs.load_state(partial / "checkpoint")
    return header, np.asarray(state["assignments"]), list(state["history"]), False


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--labels", default="auto")
    options = parser.parse_args()
    header, assignments, history, finished = read(options.run)
    told = header["source"]
    source = open_images(told["spec"], told["split"])
    rows = pack(source).facts.rows  # the distinct readable images, in the order the fit had them in
    truth = files.truth(options.labels, files.open_source(told["spec"], told["split"]))
    names = source.names(rows)
    classes = [truth[name] for name in names]
    epochs = []
    for record in history:
        groups = assignments[record["epoch"]].astype(np.int64)
        scores = metrics.scores(classes, groups)
        five = {key: round(float(value), 4) for key, value in scores.items() if isinstance(value, float)}
        epochs.append({**{k: v for k, v in record.items() if k not in ("stage", "epochs")}, **five})
    print(json.dumps({"run": options.run.name, "finished": finished, "epochs": epochs}))


if __name__ == "__main__":
    main()
