"""The outer loop of SCAN: pretext, mining, clustering and self-labelling, epoch by epoch, and a state to go on from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute, train
from ilk.errors import Interrupted, RunError
from ilk.methods.base import OnEpoch
from ilk.methods.inputs.views import Rows, Views
from ilk.methods.scan import diagnostics as watch
from ilk.methods.scan.pretext import Pretext, build_net, encoded, halves, seeds
from ilk.methods.scan.training_step import Clustering, SelfLabelling
from ilk.methods.stages import Stages
from ilk.networks.scan import Contrast, SCANNet, build_heads
from ilk.vectors import l2_normalize, neighbors

__all__ = ["Fit", "Training"]

STAGES = ("pretext", "cluster", "selflabel")
_MANY_STEPS = 2000  # updates from which on it is worth knowing in advance how long they take


@dataclass(frozen=True)
class Fit:
    """What a training is made of.

    Attributes
    ----------
    pool : Views or Rows
        Images, or the features of a frozen encoder.
    table : dict
        The settings, all resolved.
    k, seed : int
    half : bool
        Whether networks run in bfloat16.
    start : (weights, their name) or None
        What the encoder begins with, instead of chance.
    """

    pool: Views | Rows
    table: dict[str, Any]
    k: int
    seed: int
    half: bool
    start: tuple[dict[str, Tensor], str] | None = None

    def identity(self) -> str:
        """Return what a checkpoint must agree with."""
        told = {**self.table, "n_clusters": self.k, "random_state": self.seed, "half": self.half}
        if self.start is not None:
            told["start"] = self.start[1]
        return json.dumps(told, sort_keys=True)


class Training:
    """All stages of a fit, one after another.

    Attributes
    ----------
    net : SCANNet
        In the end with one head, and on the device.
    nearest : Tensor (n, m) int64
        Neighbours of every image.
    features : (n, d) float16
        What the final head sorts.
    history : list of dict
        One record per epoch; epochs are counted through all stages.
    heads : list of float
        Loss of every head after the clustering.
    """

    def __init__(self, fit: Fit, tell: Stages, on_epoch: OnEpoch | None) -> None:
        self.fit = fit
        self.tell = tell
        self.on_epoch = on_epoch
        self.history: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.heads: list[float] = []
        self.before: npt.NDArray[np.int64] | None = None
        self.stage = 0
        self.epoch = 0  # of the stage
        self.at: Pretext | Clustering | SelfLabelling | None = None
        self.best: tuple[float, int, dict[str, Tensor]] | None = None  # loss, head, weights
        self.nearest = torch.zeros((0, 0), dtype=torch.int64)
        self.contrast = self._contrast()
        self.net: SCANNet | None = None
        self.judge: watch.Judge | None = None
        self.still: npt.NDArray[Any] | None = None  # features, while the encoder stands still

    def _contrast(self) -> Contrast | None:
        """Build encoder and projector; None where the pool holds features."""
        pool = self.fit.pool
        if isinstance(pool, Rows):
            return None
        weights, _, _ = seeds(self.fit.seed, 1)
        net = build_net(self.fit.table, pool.mean.shape[1], compute.generator(weights))
        if self.fit.start is not None:
            net.encoder.load_state_dict(self.fit.start[0])
        return net.to(pool.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    @property
    def lengths(self) -> list[int]:
        """Epochs of every stage."""
        table = self.fit.table
        first = int(table["pretext_epochs"]) if self.contrast is not None else 0
        return [first, int(table["cluster_epochs"]), int(table["selflabel_epochs"])]

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train what is left to train."""
        for stage in range(self.stage, len(STAGES)):
            if stage != self.stage:
                self.stage, self.epoch, self.at = stage, 0, None
            if stage == 1 and not self.nearest.numel():
                with self.tell.stage("mine"):
                    self.nearest = self._mined()
            if self.epoch < self.lengths[stage] or stage == 1:
                with self.tell.stage(STAGES[stage]):
                    self._train()
            self.at = None
        assert self.net is not None
        self.features = self._features(torch.arange(len(self.fit.pool)))

    def _train(self) -> None:
        """Train the stage that is on."""
        if self.at is None:
            self.at = self._begun()
        self._estimate()
        for epoch in range(self.epoch, self.lengths[self.stage]):
            begin, first = time.perf_counter(), self.at.midway.step
            loss = self.at.run(epoch, self._progress)
            seconds = time.perf_counter() - begin
            self.epoch = epoch + 1
            record = {
                "stage": STAGES[self.stage],
                "epoch": sum(self.lengths[: self.stage]) + self.epoch,
                "epochs": sum(self.lengths),
                "loss": round(loss, 6),
                **self.at.told(),
                **self._watched(),
            }
            self.history.append(record)
            images = min(self.at.steps * self.at.size, len(self.fit.pool)) - first * self.at.size
            speed = images / max(seconds, 1e-9)
            self._told({**record, "images_per_second": round(speed, 1)})
        if self.stage == 1:
            self._choose()

    def _begun(self) -> Pretext | Clustering | SelfLabelling:
        """Return the stage that is on, at its beginning."""
        fit = self.fit
        if self.stage == 0:
            assert self.contrast is not None
            assert isinstance(fit.pool, Views)
            return Pretext(self.contrast, fit.pool, fit.table, fit.seed, fit.half)
        if self.net is None:
            self.net = self._with_heads(int(fit.table["n_heads"]))
            self._settle()
        if self.stage == 1:
            pool = self._pool()
            return Clustering(self.net, pool, fit.table, fit.seed, fit.half, self.nearest)
        self.still = None
        return SelfLabelling(self.net, fit.pool, fit.table, fit.seed, fit.half)

    def _with_heads(self, count: int) -> SCANNet:
        fit = self.fit
        weights, _, _ = seeds(fit.seed, 2)
        encoder = None if self.contrast is None else self.contrast.encoder
        width = encoder.width if encoder is not None else int(fit.pool.read(torch.arange(1)).shape[1])
        heads = build_heads(
            width,
            fit.k,
            count,
            generator=compute.generator(weights),
            centered=bool(fit.table["centered"]),
            glorot=fit.table["network"] == "resnet50v2",
        )
        return SCANNet(encoder, heads.to(fit.pool.device))

    def _settle(self) -> None:
        """Measure what heads bring features to, on up to 5,000 images."""
        assert self.net is not None
        if self.net.heads.centered:
            rows = watch.anchors_of(len(self.fit.pool), self.fit.seed)
            part = torch.from_numpy(self._features(rows).astype(np.float32))
            self.net.heads.settle(part.to(self.fit.pool.device))

    def _pool(self) -> Views | Rows:
        """Return what the clustering reads: images, or their features where the encoder stands still."""
        pool, table = self.fit.pool, self.fit.table
        if isinstance(pool, Rows) or table["tune"] == "all" or table["cluster_augment"] != "none":
            return pool
        self.still = self._features(torch.arange(len(pool)))
        return Rows(self.still, pool.device)

    def _features(self, rows: Tensor) -> npt.NDArray[Any]:
        """Return features (m, d) of the images `rows`, as they are kept."""
        pool = self.fit.pool
        if isinstance(pool, Rows):
            return pool.read(rows).cpu().numpy().astype(pool.dtype)
        if self.still is not None:
            kept: npt.NDArray[Any] = self.still[rows.numpy()]
            return kept
        assert self.contrast is not None
        return halves(encoded(self.contrast.encoder, pool.read, rows, self.fit.half))

    def _progress(self, step: Mapping[str, Any]) -> None:
        """Pass on how far an epoch is: for the screen alone, or as a place where the fit may be left."""
        told = {"stage": STAGES[self.stage], "step": step["step"], "steps": step["steps"]}
        if self.on_epoch is None:
            return
        if "left" not in step:
            self.on_epoch(told, dict)
            return
        epochs, steps = sum(self.lengths), step["steps"]
        done = (sum(self.lengths[: self.stage]) + self.epoch) * steps + step["step"]
        if self.on_epoch({**told, "done": done, "total": epochs * steps}, self.state):
            raise Interrupted(f"stopped within epoch {done // steps + 1} of {epochs}; the same command goes on")

    def _told(self, record: dict[str, Any]) -> None:
        if self.on_epoch is not None and self.on_epoch(record, self.state):
            at, of = record["epoch"], record["epochs"]
            raise Interrupted(f"stopped after epoch {at} of {of} ({record['stage']}); the same command goes on")

    def _estimate(self) -> None:
        """Refuse what does not fit into memory, and say what the longest stage takes, where it is more than seconds."""
        at = self.at
        assert at is not None
        if self.epoch < self.lengths[self.stage]:
            at.check_memory()
        begun = bool(self.epoch or at.midway.step)
        if not isinstance(at, Pretext) or begun or at.steps * at.epochs < _MANY_STEPS:
            return
        cost = at.probe()
        if self.on_epoch is not None:
            self.on_epoch({"stage": "pretext", "estimate": cost.told()}, dict)
        if cost.device.startswith("cpu") and cost.seconds > 1800:
            self.notes.append(
                f"the representation takes about {cost.seconds / 3600:.1f} hours on this CPU; --set preset=frozen "
                "takes ready-made features, --set preset=small trains a small network for minutes"
            )

    # -- neighbours --------------------------------------------------------------------------------------------------

    def _mined(self) -> Tensor:
        """Return the neighbours (n, m) of every image."""
        fit, table = self.fit, self.fit.table
        n = len(fit.pool)
        own = bool(table["mine_self"])
        m = min(int(table["n_neighbors"]), n - 1)
        if table["neighbors"] == "random":
            draws = compute.generator(seeds(fit.seed, 4)[0])
            shift = 1 + torch.randint(n - 1, (n, m), generator=draws)
            return (torch.arange(n)[:, None] + shift) % n
        rows = self._mined_in()
        found = neighbors(rows, rows, m, metric="cosine", exclude_self=True)[0].cpu()
        return torch.cat([torch.arange(n)[:, None], found], 1) if own else found

    def _mined_in(self) -> Tensor:
        """Return the rows (n, d) that neighbours are sought among."""
        fit, table = self.fit, self.fit.table
        every = torch.arange(len(fit.pool))
        if isinstance(fit.pool, Views) and (table["mine_on"] == "projection" or table["mine_on_raw_pixels"]):
            assert self.contrast is not None
            network = self.contrast if table["mine_on"] == "projection" else self.contrast.encoder
            read = fit.pool.bytes_of if table["mine_on_raw_pixels"] else fit.pool.read
            return encoded(network, read, every, fit.half).to(fit.pool.device)
        rows = torch.from_numpy(self._features(every).astype(np.float32)).to(fit.pool.device)
        if not table["centered"]:
            return rows
        rows = l2_normalize(rows)
        return rows - rows.mean(0)

    # -- heads -------------------------------------------------------------------------------------------------------

    def _watched(self) -> dict[str, Any]:
        """Look at the groups after an epoch of the clustering or of the self-labelling."""
        if self.stage == 0:
            return {}
        judged = self._judged()
        self.before, told = judged.told(self.before)
        table = self.fit.table
        if self.stage == 1 and table["keep"] == "best":
            least = float(judged.losses.min())
            if self.best is None or least < self.best[0]:
                assert self.net is not None
                weights = {name: value.detach().cpu().clone() for name, value in self.net.state_dict().items()}
                self.best = (least, judged.best, weights)
        problem = watch.alarm(told, self.fit.k, min(int(table["cluster_batch"]), len(self.fit.pool)))
        return {**told, "alarm": problem} if problem else told

    def _judged(self) -> watch.Judged:
        assert self.net is not None
        if self.judge is None:
            self.judge = watch.Judge(self.nearest, self.fit.table, self.fit.seed)
        features = torch.from_numpy(self._features(self.judge.rows).astype(np.float32))
        return self.judge(self.net.heads, features)

    def _choose(self) -> None:
        """Keep the best head by its own loss, of the last epoch or of the best."""
        assert self.net is not None
        if self.best is not None:
            _, head, weights = self.best
            self.net.load_state_dict(weights)
            self.heads = [round(float(loss), 4) for loss in self._judged().losses]
            self.best = None
        else:
            judged = self._judged()
            head, self.heads = judged.best, [round(float(loss), 4) for loss in judged.losses]
        self.net.heads.keep(head)

    # -- state -------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything that goes on from here to the bit: flat, arrays and plain values."""
        assert self.at is not None
        found: dict[str, Any] = {
            "settings": self.fit.identity(),
            "images": len(self.fit.pool),
            "stage": self.stage,
            "stage_epoch": self.epoch,
            "history": self.history,
            "head_losses": self.heads,
            "before": np.zeros(0, np.int64) if self.before is None else self.before,
            "nearest": self.nearest.to(torch.int32).numpy(),
            **train.state_of(**self.at.parts()),
            **self.at.midway.state(),
        }
        if self.best is not None:
            loss, head, weights = self.best
            found |= {"best_loss": loss, "best_head": head, **{f"best.{k}": v for k, v in weights.items()}}
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned.

        Raises
        ------
        RunError
            It is of other settings or other images.
        """
        try:
            if state["settings"] != self.fit.identity():
                raise RunError("the checkpoint is of other settings; start anew with --overwrite")
            if int(state["images"]) != len(self.fit.pool):
                raise RunError("the checkpoint is of other images; start anew with --overwrite")
            self.stage, self.epoch = int(state["stage"]), int(state["stage_epoch"])
            self.history, self.heads = list(state["history"]), [float(loss) for loss in state["head_losses"]]
            before = np.array(state["before"], np.int64)
            self.before = before if len(before) else None
            self.nearest = torch.from_numpy(np.array(state["nearest"])).long()
            if "best_loss" in state:
                names = [name for name in state if name.startswith("best.")]
                weights = {name.removeprefix("best."): torch.as_tensor(np.array(state[name])) for name in names}
                self.best = (float(state["best_loss"]), int(state["best_head"]), weights)
        except KeyError as error:
            raise RunError(f"the checkpoint lacks {error}; start anew with --overwrite") from None
        self._rebuilt(state)

    def _rebuilt(self, state: Mapping[str, Any]) -> None:
        """Build the stage of `state` and put it into that state."""
        if self.stage:
            self.net = self._with_heads(1 if self.stage == 2 else int(self.fit.table["n_heads"]))
            train.restore(state, network=self.net)  # before the features of an encoder that stands still are made
        self.at = self._begun()
        train.restore(state, **self.at.parts())
        self.at.midway.restore(state)
