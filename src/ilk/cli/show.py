"""What a person sees: bars on a terminal, plain lines in a pipe, one JSON object with --json."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from ilk.jobs import Prediction
    from ilk.runs import Run

__all__ = ["Screen"]

_STAGES = {"encode": "reading and encoding", "reduce": "reducing", "cluster": "grouping"}


class Screen:
    """Prints what happens. Everything but the JSON object goes to stderr when `as_json` is set."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._begin = 0.0
        self._told = 0.0

    def line(self, text: str = "") -> None:
        """Print one plain line."""
        self.console.print(escape(text))

    def json(self, value: Mapping[str, Any]) -> None:
        """Print the one JSON object, if it was asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")
            sys.stdout.flush()

    # -- while it runs -------------------------------------------------------------------------------------------------

    def event(self, event: dict[str, Any]) -> bool | None:
        """Show one event of a job. Never asks to stop."""
        kind = event.get("event")
        if kind == "found":
            took = f" ({event['seconds']:.1f} s)" if "seconds" in event else ""
            self.line(f"found    {event['n']:,} image files{took}")
            for note in event["notes"]:
                self.line(f"         {note}")
        elif kind == "already":
            self.line("this run is finished already; add --overwrite to make it anew")
        elif kind == "write":
            self.line("         writing pictures, tables, model and report")
        elif kind == "stage":
            self._stage(event)
        return None

    def _stage(self, event: dict[str, Any]) -> None:
        stage = event["stage"]
        if "done" in event:
            self._advance(event["done"], event["total"])
        elif stage == "encoder":
            self.line(f"encoder  {event['encoder']}: {event['why']}")
            for note in event["notes"]:
                self.console.print(f"[bold yellow]note[/]     {escape(note)}")
        elif stage == "choose":
            self._k_table(event["k_table"], event["suggested"])
        elif "begin" in event:
            self._begin, self._told = time.monotonic(), time.monotonic()
            if stage != "encode":
                self.line(f"         {_STAGES.get(stage, stage)}")
        elif "seconds" in event:
            self._stop_bar()
            self.line(f"         {_STAGES.get(stage, stage)}: {event['seconds']:.1f} s")

    def _advance(self, done: int, total: int) -> None:
        now = time.monotonic()
        rate = done / max(now - self._begin, 1e-9)
        if self.console.is_terminal:
            if self._progress is None:
                columns = (TextColumn("encoding"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"))
                self._progress = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
                self._progress.add_task("encoding", total=total, rate="")
                self._progress.start()
            self._progress.update(self._progress.task_ids[0], completed=done, rate=f"{rate:,.0f} images/s")
        elif now - self._told >= 5 and done < total:
            self._told = now
            left = (total - done) / max(rate, 1e-9)
            self.line(f"         encoded {done:,} of {total:,}, {rate:,.0f} images/s, {_clock(left)} left")

    def _stop_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _k_table(self, rows: list[dict[str, Any]], suggested: Mapping[str, Any]) -> None:
        table = Table("groups", "silhouette", "", box=None, pad_edge=False, header_style="bold")
        best = max(row["silhouette"] for row in rows)
        names = {number: name for name, number in suggested.items() if number}
        shown = {row["k"] for row in sorted(rows, key=lambda row: -row["silhouette"])[:8]} | set(names)
        for row in rows:
            if row["k"] in shown:
                bar = "█" * round(20 * max(row["silhouette"], 0) / max(best, 1e-9))
                name = f" {names[row['k']]}" if row["k"] in names else ""
                table.add_row(f"{row['k']:>6}", f"{row['silhouette']:>10.3f}", bar + name)
        self.console.print(table)

    # -- when it is done -----------------------------------------------------------------------------------------------

    def clustered(self, run: Run) -> None:
        """Show a finished run."""
        summary = run.header["summary"]
        self.json(summary)
        self.line()
        counts = f"{summary['n_images']:,} images in {summary['n_clusters']} groups"
        if summary["n_duplicates"]:
            counts += f", {summary['n_duplicates']:,} exact duplicates"
        self.line(counts)
        if summary["n_unreadable"]:
            self.line(f"{summary['n_unreadable']:,} files could not be read: the list with reasons is in the report")
        self._groups(run)
        if summary["scores"]:
            self._five(summary["scores"])
        for warning in summary["warnings"]:
            self.console.print(f"[bold yellow]note[/]     {escape(warning)}")
        seconds = summary["seconds"]
        parts = ", ".join(f"{name} {took:.1f}" for name, took in seconds.items() if name != "total")
        speed = f" · {summary['images_per_second']:,.0f} images/s" if summary["images_per_second"] else ""
        self.line(f"seconds  {seconds['total']:.1f} in all ({parts}){speed}")
        self.line(f"report   {run.path / 'report.html'}")

    def _groups(self, run: Run) -> None:
        table = Table("group", "images", "share", "silhouette", "most central", box=None, pad_edge=False)
        table.header_style = "bold"  # type: ignore[assignment]
        groups = run.clusters()
        names = run.images()["path"]
        total = max(1, sum(group["size"] for group in groups))
        for group in groups[:30]:
            central = names[group["exemplars"][0]] if group["exemplars"] else ""
            quality = group["quality"]
            table.add_row(
                escape(str(group["name"])),
                f"{group['size']:,}",
                f"{100 * group['size'] / total:.1f} %",
                f"{quality['silhouette']:.2f}" if quality else "",
                escape(central if len(central) < 60 else "…" + central[-58:]),
            )
        self.console.print(table)
        if len(groups) > 30:
            self.line(f"… and {len(groups) - 30} more groups, in the report")

    def _five(self, scores: Mapping[str, Any]) -> None:
        self.line(
            f"scores   ACC {scores['acc']:.3f}   NMI {scores['nmi']:.3f} (geometric {scores['nmi_geometric']:.3f})   "
            f"ARI {scores['ari']:.3f}   purity {scores['purity']:.3f}"
        )

    def predicted(self, found: Prediction, run: Path, out: Path | None) -> None:
        """Show where new images went."""
        sizes = dict.fromkeys([*found.group_names.values(), "none of these"], 0)
        n_unreadable = sum(status == "unreadable" for status in found.status)
        columns = found.columns()
        for name, status in zip(columns["group"], found.status, strict=True):
            if status != "unreadable":
                sizes[name] += 1
        n = len(found.names) - n_unreadable
        self.json(
            {
                "run": str(run),
                "n_images": n,
                "n_unreadable": n_unreadable,
                "sizes": sizes,
                "out": str(out) if out else None,
                "mean_confidence": float(found.confidence.mean()),
            }
        )
        self.line(f"{n:,} images placed" + (f", {n_unreadable:,} could not be read" if n_unreadable else ""))
        table = Table("group", "images", box=None, pad_edge=False)
        for name, size in sizes.items():
            table.add_row(escape(name), f"{size:,}")
        self.console.print(table)
        if out is not None:
            self.line(f"table    {out}")
        elif not self.as_json:
            self.line("add -o FILE.csv to keep one row per image")

    def scored(self, scores: Mapping[str, Any], run: Path) -> None:
        """Show scores against true labels."""
        self.json(
            {
                "run": str(run),
                "scores": {k: v for k, v in scores.items() if k != "clusters"},
                "clusters": scores["clusters"],
            }
        )
        self._five(scores)
        table = Table("group", "images", "majority", "share", box=None, pad_edge=False)
        for group, told in scores["clusters"].items():
            table.add_row(group, f"{told['size']:,}", escape(str(told["class"])), f"{told['share']:.2f}")
        self.console.print(table)
        if scores["n_unlabelled"]:
            self.line(f"{scores['n_unlabelled']:,} images have no label and were left out")

    # -- lists ---------------------------------------------------------------------------------------------------------

    def run(self, run: Run) -> None:
        """Show what a run holds."""
        header = run.header
        self.json(
            {
                key: header.get(key)
                for key in ("method", "params", "source", "summary", "versions", "created", "command", "commit")
            }
        )
        self.line(f"run      {run.path}")
        self.line(f"made     {header['created']} by ilk {header['versions']['ilk']}")
        self.line(f"source   {header['source']['spec']} ({header['source']['n']:,} files)")
        self.line(f"method   {header['method']}, encoder {header['summary']['encoder']}")
        if header.get("command"):
            self.line(f"command  {header['command']}")
        self.clustered_plain(run)

    def clustered_plain(self, run: Run) -> None:
        """Show the groups without a second JSON object."""
        as_json, self.as_json = self.as_json, False
        self.clustered(run)
        self.as_json = as_json

    def cache(self, state: Mapping[str, Any]) -> None:
        """Show the cache."""
        self.json(state)
        verb = "freed" if state["cleared"] else "holds"
        self.line(f"{state['path']} {verb} {state['bytes'] / 1e6:,.1f} MB")

    def methods(self, classes: Mapping[str, Any]) -> None:
        """List methods."""
        about = {
            short: {
                "class": f"ilk.{cls.__name__}",
                "what": (cls.__doc__ or "").strip().splitlines()[0],
                "presets": {name: dict(table) for name, table in cls.presets.items()},
                "settings": sorted({*next(iter(cls.presets.values())), *cls.other_settings}),
            }
            for short, cls in classes.items()
        }
        self.json(about)
        for short, entry in about.items():
            self.line(f"{short:<10} {entry['what']} ({entry['class']})")
            self.line(f"{'':<10} presets: {', '.join(entry['presets'])}")
            self.line(f"{'':<10} --set: {', '.join(entry['settings'])}")

    def encoders(self, rows: list[dict[str, Any]]) -> None:
        """List encoders."""
        self.json({"encoders": rows})
        table = Table("encoder", "what", "ready", box=None, pad_edge=False)
        for row in rows:
            table.add_row(escape(row["name"]), escape(row["what"]), "yes" if row["cached"] else "needs a download")
        self.console.print(table)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
