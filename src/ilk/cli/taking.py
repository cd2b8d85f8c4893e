"""What `ilk export`, `ilk compare` and `ilk probe` print."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ilk.cli.show import Screen
from ilk.cli.words import count
from ilk.errors import ArgumentError

if TYPE_CHECKING:
    from ilk.comparing import Comparison, Step
    from ilk.exports import Exported

__all__ = ["check_outputs", "compared", "exported", "probed", "progress"]

_SHOWN = 10


def progress(screen: Screen) -> Callable[[int, int], None]:
    """Return what shows (done, total): a bar on a terminal, elsewhere a line every five seconds."""
    last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        if screen.console.is_terminal:
            if not isinstance(screen._moving, Progress):
                columns = (TextColumn("exporting"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
                screen._moving = Progress(*columns, console=screen.console, transient=True)
                screen._moving.add_task("exporting", total=total)
                screen._moving.start()
            screen._moving.update(screen._moving.task_ids[0], completed=done)
        elif time.monotonic() - last >= 5 and done < total:
            last = time.monotonic()
            screen.line(f"         {done:,} of {total:,}")

    return show


def exported(screen: Screen, done: Exported) -> None:
    """Show what an export did."""
    screen.stop()
    screen.json(done.summary())
    for i, line in enumerate(done.lines()):
        screen.line(line)
        if not i:
            screen.result(line)
    for note in done.notes:
        screen.note(note)
    if done.dropped:
        screen.line(f"dropped  {count(len(done.dropped), 'near duplicate')}: {_some(done.dropped)}")
    if done.changed:
        screen.note(f"{count(len(done.changed), 'file')} changed by hand and kept: {_some(done.changed)}")
    if done.left:
        screen.note(f"{len(done.left):,} copies of images that are gone, kept: {_some(done.left)}")
    if done.foreign:
        screen.note(
            f"{count(len(done.foreign), 'sidecar')} that ilk did not make, or that you have worked on, left as they "
            f"are: {_some(done.foreign)}"
        )
    if done.missing:
        screen.note(f"{count(len(done.missing), 'image')} could not be exported:")
        shown = screen.at_most(_SHOWN)
        for path, why in list(done.missing.items())[:shown]:
            screen.line(f"         {path}: {why}")
        if len(done.missing) > shown:
            screen.line(f"         and {len(done.missing) - shown:,} more (--verbose lists all)")
        screen.line("         If the images were moved, say where they are now with --source.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def probed(screen: Screen, found: Mapping[str, Any]) -> None:
    """Show the accuracy of every layer of every network."""
    screen.stop()
    screen.json(found)
    networks = found["networks"]
    screen.line(
        f"probe    {found['classes']} classes, {found['n_train']:,} images to train on, "
        f"{found['n_test']:,} to test; the most frequent class: {100 * found['most_frequent']:.1f} %"
    )
    rows = [
        (name, f"{networks['trained'][i]['values']:,}", *(_both(network[i]) for network in networks.values()))
        for i, name in enumerate(found["layers"])
    ]
    pixels = found["pixels"]
    rows.append(("pixels", f"{pixels['values']:,}", _both(pixels), *[""] * (len(networks) - 1)))
    screen.table(("layer", "values", *networks), rows, right=["values", *networks])
    for i, name in enumerate(found["layers"]):
        screen.result(f"{name} {100 * networks['trained'][i]['last']:.1f} %")
    screen.line("         accuracy after the last epoch (of the best epoch: test labels choose it, so it flatters)")
    screen.line(f"report   {found['run']}/report.html")


def _both(trace: Mapping[str, Any]) -> str:
    return f"{100 * trace['last']:.1f} ({100 * trace['best']:.1f})"


def check_outputs(picture: Path | None, table: Path | None) -> None:
    """Raise unless both can be written: before the work, not after it."""
    for option, path, endings in (("-o", picture, (".png", ".svg", ".pdf")), ("--moved", table, (".csv",))):
        if path is None:
            continue
        if path.suffix.lower() not in endings:
            raise ArgumentError(f"{option} {path}: give a name that ends in {' or '.join(endings)}.")
        if not path.expanduser().parent.is_dir() or path.expanduser().is_dir():
            raise ArgumentError(f"{option} {path}: give the name of a file in a folder that exists.")


def compared(screen: Screen, found: Comparison, picture: Path | None, table: Path | None) -> None:
    """Show a comparison, and write its picture and table."""
    if picture is not None:
        found.draw(picture.expanduser())
    if table is not None:
        for note in found.write_moved(table.expanduser()):
            screen.note(note)
    outputs = {"picture": str(picture) if picture else None, "moved": str(table) if table else None}
    screen.json({**found.summary(), **outputs})
    letters = [chr(ord("A") + i) if i < 26 else f"R{i}" for i in range(len(found.runs))]
    for letter, run, sizes, n_only in zip(letters, found.runs, found.sizes, found.n_only, strict=True):
        more = f"; {count(n_only, 'image')} of its own" if n_only else ""
        screen.line(f"{letter}        {run}: {count(sum(i >= 0 for i in sizes), 'group')}{more}")
    screen.line(f"common   {count(found.n_common, 'image')}")
    rows = [
        (f"{letters[p['a']]} and {letters[p['b']]}", f"{p['ari']:.3f}", f"{p['nmi']:.3f}", f"{100 * p['same']:.1f} %")
        for p in found.pairs
    ]
    screen.table(("runs", "ARI", "NMI", "stayed"), rows, right="ARI NMI stayed")
    for pair in found.pairs:
        screen.result(f"{found.runs[pair['a']]} {found.runs[pair['b']]} ARI {pair['ari']:.3f} NMI {pair['nmi']:.3f}")
    for i, step in enumerate(found.steps):
        _step(screen, found, i, step, letters)
    for word, path in (("picture", picture), ("moved", table)):
        if path is not None:
            screen.line(f"{word:<8} {path}")
    if picture is None:
        screen.line("add -o flow.png for a picture, --moved moved.csv for every image that changed its group", "aside")


def _step(screen: Screen, found: Comparison, i: int, step: Step, letters: list[str]) -> None:
    """Show the matched groups of two runs, what was split or merged, and what moved."""
    a, b = letters[i], letters[i + 1]
    first, second = found.names[i], found.names[i + 1]
    screen.line()
    rows = [
        (
            first[m["a"]],
            f"{m['size_a']:,}",
            second[m["b"]],
            f"{m['size_b']:,}",
            f"{m['common']:,}",
            f"{m['jaccard']:.2f}",
        )
        for m in step.matched[: screen.at_most(30)]
    ]
    screen.table((f"group of {a}", "n", f"group of {b}", "n", "common", "overlap"), rows, right="n common overlap")
    if len(step.matched) > screen.at_most(30):
        screen.line(f"and {len(step.matched) - 30} more (--verbose and --json have all)")
    for one in step.split[: screen.at_most(_SHOWN)]:
        into = ", ".join(f"{second[piece['group']]} ({piece['n']:,})" for piece in one["into"])
        screen.line(f"split    {first[one['group']]} of {a} ({one['size']:,}) into {into}")
    for one in step.merged[: screen.at_most(_SHOWN)]:
        of = ", ".join(f"{first[piece['group']]} ({piece['n']:,})" for piece in one["of"])
        screen.line(f"merged   {of} of {a} in {second[one['group']]} ({one['size']:,})")
    away = [flow for flow in step.flows if flow.kind == "moved"]
    share = 100 * step.n_moved / found.n_common
    company = step.n_moved - step.n_moved_away
    kept = f", {company:,} of them in a group that was split or merged" if company else ""
    screen.line(f"moved    {step.n_moved:,} of {found.n_common:,} images ({share:.1f} %){kept}")
    for flow in away[:5]:
        screen.line(f"         {flow.n:,} from {first[flow.a]} to {second[flow.b]}: {', '.join(flow.examples[:3])}")
    if len(away) > 5:
        screen.line(f"         and {sum(flow.n for flow in away[5:]):,} in smaller moves")


def _shared(row: dict[str, Any]) -> tuple[str, str]:
    return f"{row['common']:,}", f"{row['jaccard']:.2f}"
