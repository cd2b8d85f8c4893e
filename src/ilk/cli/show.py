"""What a person sees: bars on a terminal, plain lines in a pipe, one JSON object with --json."""

from __future__ import annotations

import json
import math
import shlex
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.cells import cell_len
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.status import Status
from rich.text import Text

from ilk.cli import colours
from ilk.cli.grouptable import RIGHT, group_table, notes, unread
from ilk.cli.pace import speed
from ilk.cli.spoken import spoken
from ilk.cli.training import Training
from ilk.cli.words import count, printable, shortened
from ilk.errors import ArgumentError
from ilk.showing.ktable import k_table
from ilk.showing.notes import only_said
from ilk.showing.pace import Pace

if TYPE_CHECKING:
    from ilk.runs import Run

__all__ = ["Screen"]

_DOING = {
    "look": "looking at files",
    "encode": "encoding",
    "near": "looking for near duplicates",
    "reduce": "reducing features",
    "cluster": "grouping",
    "gather": "copying features and thumbnails",
    "train": "training",
    "name": "looking for words for the groups",
}
_PICTURED = "; the report has pictures of all of them"
_DONE = {
    "encode": "encoded",
    "near": "compared",
    "reduce": "reduced",
    "cluster": "grouped",
    "train": "trained",
    "name": "named",
}


class Screen:
    """Prints what happens. Everything but the JSON object goes to stderr when `as_json` or `aside` is set.

    A context manager: what moves on the screen stops when the block ends, however it ends.

    Parameters
    ----------
    as_json, aside
    quiet
        Nothing but what `result` says.
    verbose
        Lines of what runs begin with the seconds since the start; nothing is cut short (`at_most`).
    """

    def __init__(self, as_json: bool, *, aside: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        if quiet and verbose:
            raise ArgumentError("--quiet and --verbose exclude each other.")
        self.as_json = as_json
        self.quiet, self.verbose = quiet, verbose
        self._begun, self._running = time.monotonic(), False
        self.console = colours.console(aside=as_json or aside, quiet=quiet)
        self._result = colours.console(aside=aside, quiet=as_json or not quiet)
        self._moving: Progress | Status | None = None
        self._pace: Pace | None = None
        self._shown_at = 0.0
        self._noted: set[str] = set()
        self._training = Training(self.console, self.line, self.stop)

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.console.quiet:
            self._start("loading")  # libraries, for some seconds: until there is something to say
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line in a style of `colours.STYLES`; without one, its first word has that of words."""
        shown = Text(printable(text), style)
        if not style:
            shown.stylize("word", 0, colours.word_of(text))
        if self.verbose and self._running:
            shown = Text.assemble((f"{time.monotonic() - self._begun:7.1f} s  ", "aside"), shown)
        self.console.print(shown)

    def result(self, text: str) -> None:
        """Print what there is to say with --quiet; nothing otherwise."""
        self._result.print(Text(printable(text)))

    def at_most(self, n: int) -> int:
        """Return how many of many things to show: all of them with --verbose."""
        return sys.maxsize if self.verbose else n

    def note(self, text: str) -> None:
        """Print something to know, once."""
        if text not in self._noted:
            self._noted.add(text)
            made_so = only_said(text)  # nothing to look at
            word = ("how      ", "word") if made_so else ("note     ", "note")
            self.console.print(Text.assemble(word, printable(spoken(text))))

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]], right: str | Sequence[str] = "") -> None:
        """Print columns of the width they need; those whose header is (a word) in `right` end at the right."""
        right = right.split() if isinstance(right, str) else right
        cells = [list(header), *([printable(cell) for cell in row] for row in rows)]
        widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
        for n, row in enumerate(cells):
            parts = [
                " " * gap + cell if name in right else cell + " " * gap
                for name, cell, width in zip(header, row, widths, strict=True)
                for gap in (width - cell_len(cell),)
            ]
            self.console.print(Text("  ".join(parts).rstrip(), "" if n else "title"))

    def json(self, value: Mapping[str, Any]) -> None:
        """Print the one JSON object, if it was asked for."""
        if self.as_json:
            text = json.dumps(_strict(value), ensure_ascii=True, allow_nan=False)
            try:
                print(text, flush=True)
            except BrokenPipeError:
                colours.silence(sys.stdout)

    # -- while it runs -------------------------------------------------------------------------------------------------

    def event(self, event: dict[str, Any]) -> bool | None:
        """Show one event of a job. Never asks to stop."""
        self._running = True
        try:
            self._event(event)
        finally:
            self._running = False
        return None

    def _event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "found":
            self.stop()
            took = f" ({event['seconds']:.1f} s)" if "seconds" in event else ""
            self.line(f"found    {count(event['n'], event['what'])}{took}")
            for word, text in zip(("left out ", "         "), event.get("passed", ()), strict=False):
                self.line(f"{word}{text}")
            for note in event["notes"]:
                self.note(note)
        elif kind == "already":
            self.line(f"done     already: {event['run']} is this very run. Add --overwrite to make it anew.")
        elif kind == "resumed":
            self.line(f"resumed  {event['run']}: what was done before is not done again")
        elif kind == "part" and event["part"][1] > 1:
            a, b = event["rows"]
            self.line(f"part     {event['part'][0]} of {event['part'][1]:,}: images {a + 1:,} to {b:,}")
        elif kind == "write":
            self._start("writing pictures, tables, model and report")
        elif kind == "done":
            self.stop()
        elif kind == "stage":
            self._stage(event)

    def _stage(self, event: dict[str, Any]) -> None:
        stage = event["stage"]
        if self._training.takes(event):
            return
        if "done" in event:
            self._advance(event["done"], event["total"])
        elif stage == "encoder":
            name, why = event["encoder"], event["why"]
            self.line(f"encoder  {why if why.startswith(name) else f'{name}: {why}'}")
            for note in event["notes"]:
                self.note(note)
        elif stage in ("engine", "mend"):
            if "by" in event:
                self.line(f"engine   {event['by']}")
            for note in event["notes"]:
                self.note(note)
        elif stage == "first":
            if event["left"]:
                self._first(event)
        elif stage == "choose":
            self._k_table(event)
        elif "begin" in event:
            self._pace = None
            if stage != "encode":
                self._start(_DOING.get(stage, stage))
        elif "seconds" in event:
            self.stop()
            cached = stage == "encode" and self._pace is not None and self._pace.from_cache
            how = "before: all images are in the cache," if cached else "in"
            self.line(f"{_DONE.get(stage, stage):<8} {how} {event['seconds']:.1f} s")

    def _start(self, what: str) -> None:
        """Say what is being done: on a terminal by something that moves, elsewhere by a line if it follows a wait."""
        self.stop()
        if self.console.is_terminal:
            self._moving = Status(Text(what), console=self.console)
            self._moving.start()

    def stop(self) -> None:
        """Take away whatever moves, before something is said that stays."""
        self._training.stop()
        if self._moving is not None:
            self._moving.stop()
            self._moving = None

    def _advance(self, done: int, total: int) -> None:
        """Show how far encoding is. The first call says what is there already, and is where time begins to count."""
        now = time.monotonic()
        if self._pace is None or self._pace.total != total:
            self._pace, self._shown_at = Pace.from_here(now, done, total), now
            if 0 < done < total:
                self.line(f"cached   {done:,} of {count(total, 'image')}: the others are left to encode")
        self._pace.at(now, done)
        if self.console.is_terminal:
            if not isinstance(self._moving, Progress):
                self.stop()
                columns = (
                    TextColumn("encoding"),
                    BarColumn(),
                    TaskProgressColumn(),
                    TextColumn("{task.fields[speed]}"),
                )
                self._moving = Progress(*columns, console=self.console, transient=True)
                self._moving.add_task("encoding", total=total, speed="")
                self._moving.start()
            self._moving.update(self._moving.task_ids[0], completed=done, speed=self._pace.as_text())
        elif now - self._shown_at >= 5 and 0 < done < total:
            self._shown_at = now
            self.line(f"         {done:,} of {total:,}, {self._pace.as_text()}".rstrip(", "))

    def _first(self, event: Mapping[str, Any]) -> None:
        """Show the groups of a sample; the bar goes on below them."""
        self.stop()
        self.line(f"first    groups of {event['n']} images, spread over all of them; the others join these")
        if not event["k_given"]:
            self.line("         (how many groups there are is decided when all images are encoded)")
        rows = []
        for group in event["groups"][:20]:
            share = f"{100 * group['size'] / event['n']:.0f} %"
            rows.append((f"group {group['id']}", share, ", ".join(shortened(name, 40) for name in group["examples"])))
        self.table(("group", "share", "most typical images"), rows, right="share")
        if len(event["groups"]) > 20:
            self.line(f"and {len(event['groups']) - 20} more")
        if "picture" in event:
            self.line(f"look at  {event['picture']} (until the run is finished)")

    def _k_table(self, event: Mapping[str, Any]) -> None:
        """Show the evidence for numbers of groups, what is taken, and how to take another."""
        self.stop()
        suggested = event["suggested"]
        header, lines, n_hidden = k_table(event["k_table"], suggested, every=self.verbose)
        if event.get("space"):
            self.line(f"measured in the reduced space ({event['space']}), where all groups lie farther apart")
        self.table(header, lines, right=header[:-1])
        low = "; of Davies and ranks (all in one) the lowest" if len(header) > 3 else ""
        self.line(f"* best of its column: the highest{low}", "aside")
        if n_hidden:
            self.line(f"  {count(n_hidden, 'more number')} tried; all of them are in k_table.json", "aside")
        self.line(f"taking   {suggested['natural']} groups")
        if event["clear"]:
            self.line(f"because  {event['why']}")
        else:
            self.note(event["why"])
        others = [f"-k {k} ({name})" for name, k in suggested.items() if k and name != "natural"]
        self.line(f"another  {' or '.join(others) or 'with -k NUMBER'}{_PICTURED if others else ''}")

    # -- when it is done -----------------------------------------------------------------------------------------------

    def clustered(self, run: Run) -> None:
        """Show a finished run."""
        self.stop()
        summary = run.summary()
        self.json(summary)
        self.line()
        self.result(f"{count(summary['n_images'], 'image')} in {count(summary['n_clusters'], 'group')}: {run.path}")
        counts = f"{count(summary['n_images'], 'image')} in {count(summary['n_clusters'], 'group')}"
        if summary["n_duplicates"]:
            counts += f", {count(summary['n_duplicates'], 'exact duplicate')} among them"
        if summary.get("n_near_duplicates"):
            near, stacked = summary["n_near_duplicates"], run.header["near"].get("stacked")
            counts += f", {count(near, 'near duplicate')} {'grouped with' if stacked else 'of'} others"
            counts += " (to see them: gallery, Near duplicates)"
        self.line(counts)
        self.corrected(run)
        self._groups(run)
        if summary["scores"]:
            self._five(summary["scores"])
        if summary["n_unreadable"]:
            how = " or came without features" if run.header["source"].get("features") else ""
            self.note(f"{unread(run)} could not be read{how}; the report lists them with the reasons")
        for warning in summary["warnings"]:
            self.note(warning)
        if named := run.header.get("shards"):
            what = f"{count(named['n'], 'shard')} of {named['cache']}"
            self.line(f"needs    {what}; to move the run alone: ilk gather {shlex.quote(str(run.path))}")
        if self.verbose:
            from ilk.cli.details import details

            details(self, run)
        seconds = summary["seconds"]
        rest = 2 * seconds["total"] - sum(seconds.values())  # loading libraries and networks above all
        named = {**{name: took for name, took in seconds.items() if name != "total"}, "start": max(rest, 0.0)}
        parts = ", ".join(f"{name} {took:.1f}" for name, took in named.items())
        self.line(f"seconds  {seconds['total']:.1f} in all ({parts}){speed(run.header)}")
        self.line(f"report   {run.path / 'report.html'}")
        self.line(f"correct  ilk gallery {shlex.quote(str(run.path))}")

    def _groups(self, run: Run) -> None:
        from ilk.runs import guessed

        groups = [group for group in run.clusters() if group["size"]]
        titles, lines = group_table(run.header, groups, run.images()["path"], self.at_most(30))
        self.table(titles, lines, right=RIGHT)
        if len(groups) > len(lines):
            self.line(f"and {len(groups) - len(lines)} more groups, in the report")
        if len(lines) > 1:
            self.line("the largest group first", "aside")
        for line in notes(run.header, every=self.verbose):
            self.line(line, "aside")
        if any(map(guessed, groups)):
            self.line("looks like: a guess by what a network knows; it chose nothing", "aside")

    def corrected(self, run: Run) -> None:
        """Say that groups are not as they were found, where they are not."""
        if (grouping := run.grouping()) is not None:
            if grouping.count:
                self.line(f"by hand  {count(grouping.count, 'correction')}; as it was found: --uncorrected")
            for note in run.corrections.notes():
                self.note(note)

    def _five(self, scores: Mapping[str, Any], word: str = "scores", *, result: bool = False) -> None:
        text = (
            f"{word:<8} ACC {scores['acc']:.3f}   NMI {scores['nmi']:.3f} (geometric {scores['nmi_geometric']:.3f})   "
            f"ARI {scores['ari']:.3f}   purity {scores['purity']:.3f}"
        )
        self.line(text)
        if result:
            self.result(text)

    def scored(self, scores: Mapping[str, Any], run: Path) -> None:
        """Show scores against true labels."""
        self.json(
            {
                "run": str(run),
                "scores": {k: v for k, v in scores.items() if k not in ("clusters", "uncorrected")},
                "clusters": scores["clusters"],
                **({"uncorrected": found} if (found := scores.get("uncorrected")) else {}),
            }
        )
        self._five(scores, "by hand" if found else "scores", result=True)
        if found:
            self._five(found, "as found")
        rows = [
            (group, f"{record['size']:,}", str(record["class"]), f"{100 * record['share']:.0f} %")
            for group, record in scores["clusters"].items()
        ]
        self.table(("group", "images", "most frequent label", "share"), rows, right="images share")
        if scores["n_unlabelled"]:
            self.line(f"{scores['n_unlabelled']:,} images have no label and were left out")


def _strict(value: Any) -> Any:
    """Return `value` without what JSON has no word for: NaN and infinity become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _strict(one) for key, one in value.items()}
    return [_strict(one) for one in value] if isinstance(value, list | tuple) else value
