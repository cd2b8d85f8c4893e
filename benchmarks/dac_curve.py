"""Score every epoch of a DAC run against true labels, afterwards: the labels never entered the fit.

    python benchmarks/dac_curve.py RUN [--labels auto] [--keep NAME]
    python benchmarks/dac_curve.py --draw docs/pictures/dac-epochs.png

RUN is a finished run, or one that is still being trained (RUN.partial): its groups after every epoch are read from the
model or from the checkpoint. Prints one JSON object with ACC, NMI and ARI per epoch beside what the run itself knew. No
epoch is chosen: the last one is the result. `--keep` writes it to results/dac_curve/NAME.json; `--draw` puts the
committed curves of MNIST beside the released log.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from run import write

from ilk import compute, files, metrics, runs
from ilk.bench.results import framed, hardware
from ilk.data import open_images, pack

RESULTS = Path(__file__).resolve().parent / "results" / "dac_curve"
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")  # Okabe and Ito: told apart by the colour-blind
LOG = (  # ACC of the authors' log for MNIST (vector-1127/DAC, MNIST/mnist.log), from before the training on
    0.2279, 0.9565, 0.9682, 0.9839, 0.9858, 0.9857, 0.9872, 0.9878, 0.9850, 0.9860, 0.9871, 0.9853, 0.9862, 0.9868,
    0.9861, 0.9862, 0.9862, 0.9847, 0.9833, 0.9831, 0.9810,
)  # fmt: skip


def read(path: Path) -> tuple[dict[str, Any], np.ndarray, list[dict[str, Any]], bool]:
    """Return the header, groups after every epoch (e, n), the epochs' records, and whether the run is finished."""
    if (path / "run.json").exists() and (path / "model").exists():
        run = runs.load_run(path)
        header = {**run.header, "bf16": run.state().get("bf16")}
        history = [record for record in run.header["history"] if "epoch" in record]
        return header, np.asarray(run.state()["assignments"]), history, True
    partial = path if path.name.endswith(".partial") else path.with_name(path.name + ".partial")
    header = json.loads((partial / "run.json").read_text("utf-8"))
    state = runs.load_state(partial / "checkpoint")
    header["bf16"] = json.loads(str(state["settings"]))["bf16"]
    return header, np.asarray(state["memory.0.assignments"]), list(state["history"]), False  # of the first training


def keep(found: dict[str, Any], name: str, header: dict[str, Any]) -> None:
    """Write the scores of every epoch as a result of the recipe: of the code that trained, and of this machine."""
    asked = re.sub(r"-[0-9a-f]{8}(\.partial)?$", "", found["run"])
    command = f"ilk bench benchmarks/dac.toml --only {asked}; python benchmarks/dac_curve.py RUN --keep {name}"
    facts = {
        "command": command,
        "device": compute.device(header["params"]["device"]).type,
        "hardware": hardware(),
        **{key: header[key] for key in ("commit", "seed", "versions")},
    }
    write(RESULTS / f"{name}.json", framed({**found, **facts}, f"dac_curve/{name}"))


def draw(target: Path) -> None:
    """Draw the committed curves of MNIST, released_star and keras_port, beside the released log."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    shown = (("released_star", "released_star: shuffled, and as the file has it"), ("seed", "keras_port"))
    for ax, (preset, title) in zip(axes, shown, strict=True):
        for path in sorted(RESULTS.glob(f"mnist-{preset}-gpu-*.json")):
            epochs = json.loads(path.read_text("utf-8"))["values"]["epochs"]
            seed = int(path.stem.rpartition("-")[2])
            ax.plot(
                [e["epoch"] for e in epochs],
                [e["acc"] for e in epochs],
                color=COLORS[seed],
                marker="osD^v"[seed],
                markevery=(seed, 5),
                ms=4,
                label=f"seed {seed}",
            )
        if preset == "released_star":
            for path in sorted(RESULTS.glob("mnist-released_star-given-*.json")):
                epochs = json.loads(path.read_text("utf-8"))["values"]["epochs"]
                seed, at = path.stem.rpartition("-")[2], [[e[key] for e in epochs] for key in ("epoch", "acc")]
                ax.plot(*at, color="#D55E00", lw=2.6, label=f"seed {seed}, in the file's order")
            ax.plot(range(len(LOG)), LOG, "k--", lw=1.4, label="released log, in the file's order")
        ax.set(title=title, xlabel="epoch", ylim=(0.2, 1.0))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="lower left" if preset == "released_star" else "lower right", frameon=False, fontsize=8)
    axes[0].set_ylabel("accuracy (ACC)")
    figure.suptitle("DAC on MNIST, 70,000 images: every seed, every epoch", fontsize=11)
    figure.savefig(target, dpi=150)


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--labels", default="auto")
    parser.add_argument("--keep", metavar="NAME", help="write the result to results/dac_curve/NAME.json")
    parser.add_argument("--draw", type=Path, metavar="PNG", help="draw the committed curves instead")
    options = parser.parse_args()
    if options.draw:
        draw(options.draw)
        return
    if options.run is None:
        parser.error("give a RUN, or --draw PNG")
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
    precision = {True: "bf16", False: "fp32"}.get(header["bf16"])
    found = {"run": options.run.name, "finished": finished, "precision": precision, "epochs": epochs}
    if options.keep:
        keep(found, options.keep, header)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
