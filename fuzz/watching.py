"""Who watches the fuzzing processes: ends those that hang or grow, starts others, keeps what failed."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.judging import CLOCK, GIB, HANG

__all__ = ["Result", "watch"]

_LOOK = 0.25  # seconds between looks at a process
_START = 600.0  # seconds on the clock that a process may take until its first mutant
_KEPT = 50
_LARGEST = 3 * GIB  # a process that holds more is ended at once: torch and all take less than one


@dataclass
class Result:
    """What came of one fuzzer.

    Attributes
    ----------
    outcomes : Counter
        Answers, by a word or two.
    failures : list of dict
        number, what, wrong, kept (the file or folder), each.
    seconds, slowest : float
        Of all; of the slowest mutant, by the clock.
    memory : int
        Bytes that one mutant added at most.
    """

    name: str
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    slowest: tuple[float, str] = (0.0, "")
    memory: int = 0

    @property
    def mutants(self) -> int:
        """Number of mutants that were tried."""
        return sum(self.outcomes.values())


class _Process:
    """One worker, and what it is doing."""

    def __init__(self, command: list[str], scratch: Path, lines: queue.Queue[tuple[_Process, str | None]]) -> None:
        self.scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "tmp").mkdir(exist_ok=True)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        environment = os.environ | threads | {"TMPDIR": str(scratch / "tmp")}
        with (scratch / "said").open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.worker", *command],
                stdout=subprocess.PIPE, stderr=said, text=True, env=environment, start_new_session=True,
            )  # fmt: skip
        self.since, self.cpu, self.doing, self.what = time.monotonic(), 0.0, -1, ""
        self.last, self.ready = -1, False
        self._listener = threading.Thread(target=self._listen, args=(lines,), daemon=True)
        self._listener.start()

    def _listen(self, lines: queue.Queue[tuple[_Process, str | None]]) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                lines.put((self, line))
        lines.put((self, None))

    def begins(self, number: int, what: str) -> None:
        self.since, self.cpu, self.doing, self.what = time.monotonic(), self._cpu(), number, what

    def last_case(self) -> Path:
        """Return the file of what this process, which is no more, was trying."""
        now = self.scratch / "now"
        return now.rename(now.with_name(f"{self.doing}{Path(self.what).suffix}"))

    def trouble(self, clock: float) -> str | None:
        """Say why this process must be ended now, or None."""
        waited = time.monotonic() - self.since
        if not self.ready:
            return f"no mutant within {_START:.0f} s" if waited > _START else None
        if self.doing < 0:
            return None
        if self._memory() > _LARGEST:
            return f"more than {_LARGEST / GIB:.0f} GiB of memory"
        if (used := self._cpu() - self.cpu) > HANG:
            return f"{used:.0f} s of processor time and no answer"
        return f"{waited:.0f} s and no answer" if waited > clock else None

    def end(self) -> str:
        """End the process and its helpers; return what it wrote on stderr."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._listener.join()
        return (self.scratch / "said").read_text(errors="replace")[-500:]

    def _cpu(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError):  # not Linux, or it has ended: the clock alone
            return 0.0

    def _memory(self) -> int:
        try:
            return int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1]) * os.sysconf(
                "SC_PAGE_SIZE"
            )
        except (OSError, IndexError):
            return 0


def watch(
    name: str,
    *,
    seed: int = 0,
    first: int = 0,
    mutants: int | None = None,
    seconds: float | None = None,
    jobs: int = 1,
    guided: bool = False,
    repeat: list[Path] | None = None,
    found: Path,
    clock: float = CLOCK,
) -> Result:
    """Run the fuzzer `name` until `mutants` were tried, `seconds` have passed, or all of `repeat` were tried.

    Time counts from the first mutant on. Failures are kept in `found`: one file or folder for each kind of answer, 50
    in all. A mutant that takes HANG seconds of processor time, or `clock` seconds, is a failure.

    Raises
    ------
    RuntimeError
        The fuzzer does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ilk-fuzz-") as folder:
        more = ["--guided"] if guided else []
        more += ["--repeat", *map(str, repeat)] if repeat else []
        here = _Watch(name, seed, Path(folder), found, jobs, more, clock)
        begin = time.monotonic()
        try:
            for job in range(jobs):
                here.start(job, first + job)
            while here.running:
                if here.step() or not here.begun:
                    begin = time.monotonic()
                over = seconds is not None and here.begun and time.monotonic() - begin > seconds
                if over or (mutants is not None and here.result.mutants >= mutants):
                    break
        finally:
            for worker in here.running.values():
                worker.end()
        here.result.seconds = time.monotonic() - begin
    return here.result


class _Watch:
    """The processes of one fuzzer."""

    def __init__(
        self, name: str, seed: int, scratch: Path, found: Path, jobs: int, more: list[str], clock: float
    ) -> None:
        self.result = Result(name)
        self.running: dict[int, _Process] = {}
        self.begun = False
        self._seed, self._scratch, self._found, self._jobs = seed, scratch, found, jobs
        self._more, self._clock = more, clock
        self._seen = set[str]()
        self._lines: queue.Queue[tuple[_Process, str | None]] = queue.Queue()

    def start(self, job: int, at: int) -> None:
        """Start the process number `job` at mutant `at`."""
        scratch = self._scratch / f"{job}-{at}"
        numbers = ["--seed", str(self._seed), "--first", str(at), "--step", str(self._jobs)]
        self.running[job] = _Process([self.result.name, str(scratch), *numbers, *self._more], scratch, self._lines)

    def step(self) -> bool:
        """Take in one line, or look at the processes where there is none; True where the first mutant begins."""
        try:
            at, line = self._lines.get(timeout=_LOOK)
        except queue.Empty:
            for job, worker in list(self.running.items()):
                if trouble := worker.trouble(self._clock):
                    self._ended(job, worker, trouble)
            return False
        if line is not None:
            return self._heard(at, json.loads(line))
        for job, worker in list(self.running.items()):
            if worker is at:
                self._ended(job, worker, None)
        return False

    def _heard(self, at: _Process, told: dict[str, Any]) -> bool:
        if "ready" in told:
            at.ready = True
            first, self.begun = not self.begun, True
            return first
        if "begin" in told:
            at.begins(told["begin"], told["what"])
            return False
        self.result.outcomes[told["outcome"]] += 1
        self.result.slowest = max(self.result.slowest, (round(time.monotonic() - at.since, 2), at.what))
        self.result.memory = max(self.result.memory, told["memory"])
        if told["wrong"] is not None:
            self._fail(at, told["wrong"], Path(told["kept"]))
        at.doing, at.last = -1, told["end"]
        return False

    def _ended(self, job: int, worker: _Process, trouble: str | None) -> None:
        """End a process that is in trouble, or take leave of one that has ended; go on with the next mutant."""
        said = worker.end()
        if not worker.ready:
            raise RuntimeError(f"the fuzzer {self.result.name} does not start: {trouble or said}")
        if worker.doing >= 0:
            case = worker.last_case()
            if not trouble and "--guided" in self._more and not self._dies_again(case):
                self.result.outcomes["died of being guided"] += 1  # libFuzzer ends itself now and then
            else:
                self.result.outcomes["hung" if trouble else "died"] += 1
                self._fail(worker, trouble or f"the process died ({worker.process.returncode}): {said}", case)
        del self.running[job]
        if "--repeat" not in self._more:
            self.start(job, max(worker.doing, worker.last) + self._jobs)

    def _dies_again(self, case: Path) -> bool:
        """Whether `case` fails in a process that nobody guides."""
        again = watch(self.result.name, repeat=[case], found=self._scratch / "again", clock=self._clock)
        return bool(again.failures)

    def _fail(self, at: _Process, wrong: str, kept: Path) -> None:
        kind = f"{at.what} {''.join(c for c in wrong if not c.isdigit())[:120]}"
        failure = {"number": at.doing, "what": at.what, "wrong": wrong, "kept": None}
        if kept.exists() and kind not in self._seen and len(self._seen) < _KEPT:
            self._seen.add(kind)
            self._found.mkdir(parents=True, exist_ok=True)
            target = self._found / f"{self.result.name}-{self._seed}-{at.doing}{kept.name.removeprefix(str(at.doing))}"
            if target.is_dir():
                shutil.rmtree(target)
            failure["kept"] = str(shutil.move(kept, target))
        self.result.failures.append(failure)
