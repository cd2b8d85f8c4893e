"""``python -m fuzz``: see docs/fuzzing.md."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fuzz.judging import GIB
from fuzz.watching import Result, watch
from fuzz.worker import FUZZERS

ROOT = Path(__file__).resolve().parents[1]
FOUND = ROOT / "fuzz-found"


def main() -> int:
    """Fuzz, say what was found, and return 1 where anything was."""
    options = _options()
    names = [options.only] if options.only else list(FUZZERS)
    results = []
    for name in names:
        guided = options.guided and name != "runs"
        print(f"== {name}{', guided by coverage' if guided else ''}", flush=True)
        result = watch(
            name, seed=options.seed, first=options.first, mutants=options.mutants, jobs=options.jobs,
            seconds=options.seconds / len(names) if options.seconds else None, guided=guided, repeat=options.repeat,
            found=options.found,
        )  # fmt: skip
        _show(result, options.seed, options.repeat is not None)
        results.append(result)
    if options.json:
        from ilk.bench.results import framed, hardware

        figures = {**_figures(results, options), "hardware": hardware()}
        text = json.dumps(framed(figures, f"fuzz/{options.json.stem}"), indent=1)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + "\n", "utf-8")
    return int(any(result.failures for result in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Damaged input by the thousand.")
    parser.add_argument("--only", choices=FUZZERS, help="this fuzzer alone")
    parser.add_argument("--seconds", type=float, help="in all, shared by the fuzzers; their start is not counted")
    parser.add_argument("--mutants", type=int, help="of each fuzzer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris (pip install -e '.[fuzz]')")
    parser.add_argument("--found", type=Path, default=FOUND, help="folder for what fails")
    parser.add_argument("--json", type=Path, help="write figures to this file")
    parser.add_argument("--repeat", type=Path, nargs="+", help="files or folders that failed; needs --only")
    options = parser.parse_args()
    if options.repeat and not options.only:
        parser.error("--repeat needs --only: which fuzzer they are for")
    if options.guided and find_spec("atheris") is None:
        parser.error("--guided needs atheris: pip install -e '.[fuzz]'")
    if not (options.seconds or options.mutants or options.repeat):
        options.seconds = 120.0
    return options


def _show(result: Result, seed: int, again: bool) -> None:
    rate = result.mutants / max(result.seconds, 1e-9)
    print(f"   {result.mutants:,} mutants in {result.seconds:.0f} s ({rate:.0f}/s), {len(result.failures)} failures")
    print("   " + ", ".join(f"{word} {n:,}" for word, n in result.outcomes.most_common()))
    took, what = result.slowest
    print(f"   slowest {took:.1f} s ({what}); at most {result.memory / 2**20:.0f} MiB more memory")
    for failure in result.failures:
        if failure["kept"] is None and not again:
            continue  # one of each kind is shown
        print(f"   FAILED {failure['what']}: {failure['wrong']}")
        if failure["kept"]:
            print(f"          kept   {failure['kept']}")
            print(f"          again  {Path(sys.executable)} -m fuzz --only {result.name} --repeat {failure['kept']}")
        if not again:
            print(f"          or     make fuzz ONLY={result.name} SEED={seed} FIRST={failure['number']} MUTANTS=1")
    sys.stdout.flush()


def _command(options: argparse.Namespace) -> str:
    """Return what repeats this on any machine."""
    values = {name.upper(): getattr(options, name) for name in ("only", "mutants", "seconds", "seed", "first", "jobs")}
    told = [
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
        if value
    ]
    return " ".join(["make fuzz", *told, *(["GUIDED=1"] if options.guided else [])])


def _figures(results: list[Result], options: argparse.Namespace) -> dict[str, Any]:
    packages = ("ilk", "Pillow", "pi-heif", "pyarrow", "numpy", "safetensors")
    return {
        "command": _command(options),
        "seed": options.seed,
        "first": options.first,
        "guided": options.guided,
        "versions": {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in packages},
        "fuzzers": {
            result.name: {
                "mutants": result.mutants,
                "failures": len(result.failures),
                "kinds_of_failure": sum(failure["kept"] is not None for failure in result.failures),
                "outcomes": dict(result.outcomes.most_common()),
                "seconds": round(result.seconds, 1),
                "slowest_seconds": result.slowest[0],
                "most_memory_added_gib": round(result.memory / GIB, 3),
            }
            for result in results
        },
    }


if __name__ == "__main__":
    sys.exit(main())
