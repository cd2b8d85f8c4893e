"""Who works on the parts of a source, and what is left: a queue that outlives its workers.

A part whose worker is lost, with its machine or without, goes back to the front, and another worker takes it; nobody
waits for a restart. Knows of ray what is in its hands: the module itself is given.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ilk import disk
from ilk.data import FolderImages, OnProgress
from ilk.errors import DataError, IlkError, Interrupted, TaskFailed
from ilk.scale.parts import cut
from ilk.scale.worker import Job, Worker

__all__ = ["QUIET", "ZERO", "Crew", "Say"]

Say = Callable[[str], object]
Part = tuple[int, int]

_LIVES = 3  # workers that one part may cost
_TICK = 0.5  # seconds between two looks at what is done
_LEAVE = 30.0  # seconds that workers have to keep what is finished when the job is stopped
_STARTING = 30.0  # seconds after which a person wants to know what is waited for
_CORES = 16  # beside a GPU, at most
ZERO = {"n_encoded": 0, "n_cached": 0, "lost": 0, "cpu": 0.0, "start": 0.0}
_NO_ILK = "No module named 'ilk'"

QUIET = {
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""Of every worker: nothing is counted anywhere, and its priority is that of other programs."""


@dataclass(eq=False)
class Hand:
    """A worker as the one who gives the work sees it."""

    actor: Any
    answer: Any  # what is waited for
    began: float
    part: Part | None = None  # None: it is starting
    glance: Any = None  # how far it is, on its way
    seen: int = 0


@dataclass(eq=False)
class Crew:
    """All workers of a job, and what is left to do.

    Attributes
    ----------
    ray : module
        Connected to a cluster.
    part : int
        Images that a worker takes at a time.
    workers : int or None
        None: as many as the cluster has cores, or GPUs.
    job : Job
    lacking : ndarray (m,) int64
        Rows of the source that the cache does not have, ascending.
    source : FolderImages
    notify : callable (done, total) -> stop?
    say : callable (str)
    """

    ray: Any
    part: int
    workers: int | None
    job: Job
    lacking: npt.NDArray[np.int64]
    source: FolderImages
    notify: OnProgress
    say: Say
    hands: list[Hand] = field(default_factory=list)
    idle: list[Any] = field(default_factory=list)
    deaths: Counter[Part | None] = field(default_factory=Counter)
    totals: Counter[str] = field(default_factory=Counter)
    hosts: set[str] = field(default_factory=set)
    done: int = 0
    stopping: bool = False

    def run(self) -> dict[str, Any]:
        """Have all parts done, whoever is lost on the way."""
        n, rows = len(self.source), self.lacking
        self.done = n - len(rows)
        counts = {(a, b): int(np.searchsorted(rows, b) - np.searchsorted(rows, a)) for a, b in cut(n, self.part)}
        self.counts = {part: count for part, count in counts.items() if count}
        self.todo = deque(self.counts)
        self.wanted = self._wanted(len(self.todo))
        for _ in range(self.wanted):
            self._hire()
        self.began = time.monotonic()
        self._report()
        while self.todo or any(hand.part for hand in self.hands):
            self._give()
            ready = self.ray.wait([hand.answer for hand in self.hands], timeout=_TICK)[0] if self.hands else []
            for hand in [hand for hand in self.hands if hand.answer in ready]:
                self.hands.remove(hand)
                self._take(hand)
            self._glance()
            self._report()
            self._check_alive()
        return {"by": self._by(), "workers": self.wanted, "hosts": sorted(self.hosts), **ZERO, **self.totals}

    def _by(self) -> str:
        workers, hosts = f"{self.wanted} worker{'s'[: self.wanted > 1]}", max(1, len(self.hosts))
        return f"encoded by {workers} on {hosts} machine{'s'[: hosts > 1]} (Ray {self.ray.__version__})"

    def dismiss(self) -> None:
        """End all workers; those in the middle of a part keep what is finished of it."""
        busy = [hand for hand in self.hands if hand.part]
        with contextlib.suppress(Exception):  # of workers that are lost: there is nothing to keep
            for hand in busy:
                hand.actor.stop.remote()
            if busy:
                self.ray.wait([hand.answer for hand in busy], num_returns=len(busy), timeout=_LEAVE)
        for actor in [*self.idle, *(hand.actor for hand in self.hands)]:
            with contextlib.suppress(Exception):
                self.ray.kill(actor)

    # -- who works -----------------------------------------------------------------------------------------------------

    def _wanted(self, parts: int) -> int:
        have = int(self.ray.cluster_resources().get("GPU" if self.job.device == "cuda" else "CPU", 0))
        return max(1, min(self.workers or have, parts))

    def _hire(self) -> None:
        have = self.ray.cluster_resources()
        gpu = self.job.device == "cuda"
        cores = max(1, min(16, int(have.get("CPU", 1) // max(1, have.get("GPU", 1))))) if gpu else 1
        make = self.ray.remote(Worker).options(
            num_cpus=cores,
            num_gpus=1 if gpu else 0,
            max_restarts=0,
            max_concurrency=2,
            runtime_env={"env_vars": QUIET},
        )
        actor = make.remote(cores)
        self.hands.append(Hand(actor, actor.begin.remote(self.job), time.monotonic()))

    def _give(self) -> None:
        """Give the idle ones something to do."""
        while self.idle and self.todo:
            actor, (a, b) = self.idle.pop(), self.todo.popleft()
            answer = actor.encode.remote(self.source.listing.part(a, b), self.source.samples)
            self.hands.append(Hand(actor, answer, time.monotonic(), (a, b)))

    def _take(self, hand: Hand) -> None:
        """Take in what a worker answers, or that it is lost."""
        try:
            answer = self.ray.get(hand.answer)
        except self.ray.exceptions.RayTaskError as error:
            raise _own(error) from None
        except self.ray.exceptions.RayError as error:
            with contextlib.suppress(Exception):
                self.ray.kill(hand.actor)  # out of reach may not be dead
            self._lost(hand, error)
            return
        self.idle.append(hand.actor)
        if hand.part is None:
            self.hosts.add(answer["host"])
            self.totals["start"] += answer["cpu"]
            if answer["nice"] > _niceness():
                self.say(
                    f"workers on {answer['host']} have a low priority (niceness {answer['nice']}): on a busy machine "
                    "they wait for all others. Start Ray there with RAY_worker_niceness=0 ray start …"
                )
            return
        self.done += self.counts[hand.part]
        self.totals.update({key: answer[key] for key in ("n_encoded", "n_cached", "cpu")})

    def _lost(self, hand: Hand, error: Exception) -> None:
        """Put the part of a lost worker back, first of all, and look for another worker; nobody waits for it."""
        why = disk.one_line(error)
        if _NO_ILK in why:
            raise DataError("ilk is not installed on all machines of the cluster: pip install 'ilk[ray]' there too.")
        self.deaths[hand.part] += 1
        if hand.part is None:
            if self.deaths[None] > 2 * self.wanted + 2:
                raise TaskFailed(f"workers cannot start: {why[:300]}")
        else:
            self.totals["lost"] += 1
            self.todo.appendleft(hand.part)
            a, b = hand.part
            if self.deaths[hand.part] >= _LIVES:
                names = self.source.names([a, b - 1])
                raise TaskFailed(
                    f"images {a + 1:,} to {b:,} ({names[0]} … {names[1]}) ended {_LIVES} workers, the last one with: "
                    f"{why[:300]}. If memory was short, give fewer --workers. The same command goes on."
                )
        if len(self.hands) + len(self.idle) < min(self.wanted, len(self.todo) + sum(bool(h.part) for h in self.hands)):
            self._hire()

    def _check_alive(self) -> None:
        """Raise where there is nobody left who could work, and say what is waited for where nobody could begin."""
        if self.idle or any(hand.part for hand in self.hands):
            self.began = time.monotonic()
            return
        nodes = [node for node in self.ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        if not nodes:
            raise TaskFailed(
                "no machine of the Ray cluster is left to work. What is done is kept; the same command goes on."
            )
        if time.monotonic() - self.began > _STARTING:
            self.say("waiting for a free core of the cluster: `ray status` on its head says who has them")

    # -- how far it is -------------------------------------------------------------------------------------------------

    def _glance(self) -> None:
        """Ask the busy ones how far they are; the answers come in when they come in."""
        for hand in self.hands:
            if hand.part is None:
                continue
            if hand.glance is not None:
                if not self.ray.wait([hand.glance], timeout=0)[0]:
                    continue
                with contextlib.suppress(self.ray.exceptions.RayError):
                    hand.seen = self.ray.get(hand.glance)
            hand.glance = hand.actor.look.remote()

    def _new(self, hand: Hand) -> int:
        """How many images a busy worker has done that were not in the cache before."""
        if hand.part is None:
            return 0
        a, b = hand.part
        return max(0, hand.seen - (b - a - self.counts[hand.part]))

    def _report(self) -> None:
        n = len(self.source)
        sofar = self.done + sum(self._new(hand) for hand in self.hands)
        if self.notify(sofar, n):
            raise Interrupted(f"stopped after {sofar} of {n} images; the same command goes on from here")


def _niceness() -> int:
    return os.nice(0) if hasattr(os, "nice") else 0


def _own(error: Any) -> Exception:
    """Return what a worker raised, as if it had been raised here."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, IlkError):
        return type(cause)(str(cause))
    said = disk.one_line(cause if cause is not None else error)
    if _NO_ILK in said:
        return DataError("ilk is not installed on all machines of the cluster: pip install 'ilk[ray]' there too.")
    return TaskFailed(f"a worker failed: {type(cause).__name__ if cause is not None else 'error'}: {said[:300]}")
