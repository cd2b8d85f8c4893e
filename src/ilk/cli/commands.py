"""The commands. Each parses, makes one call, and prints; the longer ones have files of their own."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer
from typer.main import get_command

from ilk.cli import completing
from ilk.cli import options as parse
from ilk.cli.arguments import (
    Cache,
    Debug,
    Device,
    Features,
    Fetch,
    Json,
    Labels,
    NoCache,
    Own,
    Quiet,
    RunPath,
    Split,
    Uncorrected,
    Verbose,
)
from ilk.cli.correcting import correct
from ilk.cli.encoding import encode
from ilk.cli.exporting import export
from ilk.cli.gathering import gather
from ilk.cli.grouping import cluster
from ilk.cli.helping import Command
from ilk.cli.looking import similar
from ilk.cli.opening import open_run
from ilk.cli.overview import runs
from ilk.cli.placing import predict
from ilk.cli.regrouping import regroup
from ilk.cli.serving import gallery
from ilk.cli.updating import update

app = typer.Typer(
    name="ilk",
    help="Group images of the same ilk. Nothing is ever sent anywhere; your images are never changed or moved.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_command = functools.partial(app.command, cls=Command)


_command(short_help="Images in; groups, pictures, report and model out.")(cluster)
_command(short_help="Images into the cache, in parts on many machines.")(encode)
_command(short_help="Place new images into the groups of a run.")(predict)
_command(short_help="The images of a run most like one.")(similar)


@_command(short_help="Score a run against true labels.")
def evaluate(
    run: RunPath,
    source: Annotated[
        Optional[list[str]], typer.Argument(metavar="[SOURCE…]", help="New images to predict first, then to score.")
    ] = None,
    labels: Labels = "auto",
    features: Features = None,
    method: Own = None,
    split: Split = "all",
    fetch: Fetch = False,
    uncorrected: Uncorrected = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a run, or its predictions for SOURCE, against true labels."""
    from ilk.cli.show import Screen

    with Screen(json, quiet=quiet, verbose=verbose) as screen:
        screen.scored(
            parse.scores_of(
                parse.opened_run(run, uncorrected, fetch),
                parse.sources(source) if source else None,
                labels,
                split,
                features,
                method,
                screen.event,
            ),
            run,
        )


@_command(short_help="What each layer of a trained network knows.")
def probe(
    run: RunPath,
    labels: Annotated[
        str, typer.Option(metavar="LABELS", help="True labels: auto, folder, prefix, an npz key or a .csv.")
    ] = "auto",
    source: Annotated[Optional[str], typer.Option(metavar="SOURCE", help="Other images than those of the run.")] = None,
    images: Annotated[Optional[str], typer.Option(metavar="N,M", help="At most N to train on, M to test.")] = None,
    epochs: Annotated[
        int, typer.Option(metavar="N", help="Passes over the images, in training the linear classifiers.")
    ] = 90,
    augment: Annotated[bool, typer.Option("--augment", help="Random crops and mirror images, as published.")] = False,
    ten_crop: Annotated[bool, typer.Option("--ten-crop", help="Test on the mean over ten crops.")] = False,
    supervised: Annotated[bool, typer.Option(help="Train the same network on the labels, and probe it too.")] = True,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of the classifiers and the random network: the same again gives the same.")
    ] = 0,
    method: Own = None,
    device: Device = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train linear classifiers on each frozen layer of RUN's network, a random one's, and a supervised one's."""
    from ilk.cli import taking
    from ilk.cli.show import Screen

    counts = parse.two_counts(images)
    from ilk import probing

    with Screen(json, quiet=quiet, verbose=verbose) as screen:
        found = probing.probe(
            run, labels, source=source, images=counts, epochs=epochs, augment=augment, ten_crop=ten_crop,
            supervised=supervised, seed=seed, cls=method, device=device, cache=parse.cache(cache, no_cache),
            on_event=screen.event,
        )  # fmt: skip
        taking.probed(screen, found)


@_command(short_help="One HTML file that opens offline.")
def report(
    run: RunPath,
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", metavar="FILE", help="The HTML file. [default: RUN/report.html]")
    ] = None,
    fetch: Fetch = False,
    uncorrected: Uncorrected = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Write the report of RUN anew, and its plots: one HTML file that opens offline. With -o the file alone."""
    from ilk.cli.show import Screen
    from ilk.report import images_of, write_plots, write_report

    screen = Screen(False, quiet=quiet, verbose=verbose, aside=parse.is_stdout(out))
    opened = parse.opened_run(run, uncorrected, fetch)
    source = images_of(opened)
    if out is None:  # those of the run are of the groups as they were when they were drawn
        write_plots(opened, source)
    written = write_report(opened, out, source)
    screen.line(f"report   {written}")
    screen.result(str(written))


_command("open", short_help="The report of a run, in the browser.")(open_run)
_command(short_help="See whole groups in the browser, and correct them.")(gallery)


_command(short_help="A folder per group, sidecars, or tables for other tools.")(export)
_command(short_help="Move, merge, split, rename … groups by hand; undo.")(correct)
_command(short_help="Group again with what was corrected by hand.")(regroup)


_command(short_help="New images join a run; nothing else moves.")(update)
_command(short_help="Copy into a run what it needs of a cache, to move it.")(gather)


@_command(short_help="What two runs agree on, and what moved.")
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN…", help="Two runs or more of the same images.", autocompletion=completing.run_folders
        ),
    ],
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", metavar="FILE", help="A picture of the flow: .png, .svg or .pdf.")
    ] = None,
    moved: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="A .csv of the images that changed their group.")
    ] = None,
    uncorrected: Uncorrected = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say how much runs of the same images agree, which groups match, and what moved."""
    from ilk import comparing
    from ilk.cli import taking
    from ilk.cli.show import Screen

    taking.check_outputs(out, moved)
    found = comparing.compare([parse.opened_run(run, uncorrected) for run in runs])
    taking.compared(Screen(json, quiet=quiet, verbose=verbose, aside=parse.is_stdout(moved)), found, out, moved)


_command(short_help="The runs that are there, the newest first.")(runs)


@_command(short_help="What a run holds; how large the cache is.")
def info(
    run: Annotated[
        Optional[Path], typer.Argument(metavar="[RUN]", help="A run folder.", autocompletion=completing.run_folders)
    ] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Show the size of the cache instead.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="With --cache: empty it.")] = False,
    uncorrected: Uncorrected = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a run holds, or how large the cache is."""
    from ilk.cli import facts
    from ilk.cli.show import Screen

    screen = Screen(json)
    if cache == (run is not None) or (clear and not cache):
        raise typer.BadParameter("give a RUN, or --cache [--clear].")
    if cache:
        facts.cache(screen, parse.cache_state(clear))
    else:
        from ilk.runs import needed

        opened = parse.opened_run(Path(os.fspath(run or ".")), uncorrected)
        with needed(opened):
            facts.run(screen, opened)


@_command(short_help="Methods x data x seeds beside published figures.")
def bench(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: see docs/benchmarks.md.")],
    only: Annotated[
        Optional[list[str]], typer.Option(metavar="NAME", help="A row, a data set or a cell; * = anything; repeat.")
    ] = None,
    budget: Annotated[Optional[float], typer.Option(metavar="MINUTES", help="The recipe's reduced rows.")] = None,
    minutes: Annotated[
        Optional[float], typer.Option(metavar="MINUTES", help="Stop after this; the same command goes on.")
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Run nothing; show what there is.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Run anew what is there already.")] = False,
    runs: Annotated[
        Optional[Path], typer.Option(metavar="DIR", help="Where runs are kept. [default: runs/ beside RECIPE]")
    ] = None,
    device: Device = "auto",
    cache: Cache = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a table of methods, data and seeds, and show it beside published figures."""
    from ilk.cli import benching

    code = benching.bench(
        recipe, only or [], budget, parse.seconds(minutes, "--minutes"), table, again, runs, device,
        parse.cache(cache, False), json, quiet, verbose,
    )  # fmt: skip
    raise typer.Exit(code)


@_command(short_help="The methods for -m; presets and settings of one.")
def methods(
    name: Annotated[
        Optional[str],
        typer.Argument(
            metavar="[NAME]", help="Show everything about this one.", autocompletion=completing.method_names
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the methods for -m, or show the presets and settings of one."""
    from ilk import methods as registry
    from ilk.cli import listing
    from ilk.cli.show import Screen

    if name is not None:
        listing.one_method(Screen(json), name, registry.find(name))
    else:
        listing.methods(Screen(json), {short: registry.find(short) for short in registry.short_names()})


@_command(short_help="The encoders; add or remove weights.")
def encoders(
    action: Annotated[
        Optional[Literal["add", "remove"]],
        typer.Argument(
            metavar="[add FILE | remove NAME]", help="Remember weights, or forget them.", show_choices=False
        ),
    ] = None,
    what: Annotated[Optional[str], typer.Argument(metavar="", hidden=True)] = None,
    model: Annotated[
        Optional[str], typer.Option("--as", metavar="NAME", help="With add: the network they belong to.")
    ] = None,
    cache: Cache = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the encoders for --encoder and which are ready without a download; remember weights, or forget them."""
    from ilk.cli import listing
    from ilk.cli.show import Screen

    home = parse.cache(cache, False)
    if (action is None) != (what is None) or (model is not None and action != "add"):
        raise typer.BadParameter("write: ilk encoders, ilk encoders add FILE [--as NAME], or ilk encoders remove NAME.")
    listing.encoders(Screen(json), home, action, what, model)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        from ilk import __version__

        typer.echo(f"ilk {__version__}")
        raise typer.Exit


@functools.cache
def parser() -> Callable[..., Any]:
    """Return what parses a command line and runs its command: built once, since it reads every command's signature."""
    return get_command(app)


def options_of(arguments: Sequence[str]) -> set[str]:
    """Return the options of the command that `arguments` name, such as ``--seed`` and ``-k``; none where it is none."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    command = parser().commands.get(name)  # type: ignore[attr-defined]
    return {option for param in command.params for option in param.opts} if command is not None else set()
