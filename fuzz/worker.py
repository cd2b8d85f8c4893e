"""One process of fuzzing: tries mutants and says on stdout what came of each. Started by `fuzz.watching`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.judging import GIB, Case, Fuzzer, Verdict, random_of

__all__ = ["FUZZERS", "build"]

FUZZERS = ("decode", "sources", "runs")


def build(name: str, scratch: Path) -> Fuzzer:
    """Return the fuzzer `name`, or the class ``module:Class``; it may write below `scratch`."""
    if ":" in name:
        module, _, attribute = name.partition(":")
        made: Fuzzer = getattr(importlib.import_module(module), attribute)(scratch)
        return made
    if name == "decode":
        from fuzz.images import Images

        return Images(scratch)
    if name == "sources":
        from fuzz.sources import Sources

        return Sources(scratch)
    from fuzz.runs import Runs

    return Runs(scratch)


class Memory:
    """The most memory that this process has held; where the system does not tell, nothing."""

    def __init__(self) -> None:
        self._before = 0

    def begin(self) -> None:
        """Forget what was held before."""
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", "ascii")
        self._before = self._read("VmRSS:")

    def added(self) -> int:
        """Return the bytes that were held at most since `begin`, above what was held then."""
        return max(0, self._read("VmHWM:") - self._before)

    def _read(self, key: str) -> int:
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/status").read_text("ascii").splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) << 10
        return 0


class Worker:
    """Tries cases and says so, as lines of JSON."""

    def __init__(self, name: str, scratch: Path) -> None:
        self.fuzzer = build(name, scratch)
        self._scratch, self._memory = scratch, Memory()
        self._talk = os.fdopen(os.dup(1), "w", encoding="utf-8")
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)  # what libraries print is not what we say
        os.dup2(null, 2)

    def say(self, **facts: Any) -> None:
        """Write one line."""
        print(json.dumps(facts), file=self._talk, flush=True)

    def attempt(self, number: int, case: Case) -> None:
        """Keep `case` where it is found if this process dies, try it, and say what came of it."""
        (self._scratch / "now").write_bytes(case.data)
        self.say(begin=number, what=case.what)
        self._memory.begin()
        try:
            verdict = self.fuzzer.verdict(case)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
            verdict = Verdict("raised", told)
        added, wrong = self._memory.added(), verdict.wrong
        if wrong is None and added > GIB:
            wrong = f"{added / GIB:.1f} GiB of memory"
        kept = None
        if wrong is not None:
            target = self._scratch / "wrong" / str(number)
            target.parent.mkdir(exist_ok=True)
            kept = str(self.fuzzer.keep(case, target))
        self.say(end=number, outcome=verdict.outcome, wrong=wrong, kept=kept, memory=added)


def guided(worker: Worker, scratch: Path, seed: int, first: int) -> None:
    """Let atheris choose: mutants that reach new lines of code are damaged further. Does not return."""
    import atheris

    from fuzz import mutating

    names = sorted(worker.fuzzer.seeds())
    corpus = scratch / "corpus"
    corpus.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        (corpus / name).write_bytes(bytes([i]) + worker.fuzzer.seeds()[name])
    number = first

    def test(data: bytes) -> None:
        nonlocal number
        if data:
            worker.attempt(number, Case(names[data[0] % len(names)], data[1:]))
            number += 1

    def mutate(data: bytes, most: int, choice: int) -> bytes:
        rng = random_of("guided", seed, choice)
        if len(data) < 2 or rng.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return (data[:1] + mutating.bytes_of(data[1:], rng, ends=True))[:most]

    options = [f"-seed={seed + 1}", "-rss_limit_mb=0", "-timeout=0", "-max_len=100000", "-len_control=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], test, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    """Try mutants from a number on until this process is ended, or the cases named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--guided", action="store_true")
    parser.add_argument("--repeat", type=Path, nargs="*")
    options = parser.parse_args()
    with _instrumented(options.guided):
        worker = Worker(options.name, options.scratch)
    worker.say(ready=True)
    if options.repeat is not None:
        for i, path in enumerate(options.repeat):
            worker.attempt(i, worker.fuzzer.load(path))
    elif options.guided:
        guided(worker, options.scratch, options.seed, options.first)
    else:
        number = options.first
        while True:
            worker.attempt(number, worker.fuzzer.mutant(random_of(options.name, options.seed, number)))
            number += options.step


def _instrumented(wanted: bool) -> contextlib.AbstractContextManager[Any]:
    if not wanted:
        return contextlib.nullcontext()
    import atheris

    watch: Callable[..., contextlib.AbstractContextManager[Any]] = atheris.instrument_imports
    return watch(include=["ilk.files", "ilk.data", "ilk.disk", "PIL", "zipfile", "tarfile"])


if __name__ == "__main__":
    main()
