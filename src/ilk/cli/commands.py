"""The commands. Each parses, makes one call, and prints; what they print is in `ilk.cli.show`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from ilk.cli import options as parse
from ilk.cli.arguments import (
    Address,
    ByContent,
    Cache,
    Debug,
    Device,
    Engine,
    Features,
    Json,
    Labels,
    NoCache,
    Own,
    OwnEncoder,
    Precision,
    RunPath,
    Source,
    Split,
    Uncorrected,
    Workers,
)
from ilk.cli.correcting import correct
from ilk.cli.encoding import encode
from ilk.cli.exporting import export
from ilk.cli.looking import similar
from ilk.cli.regrouping import regroup
from ilk.cli.serving import gallery
from ilk.cli.updating import update

app = typer.Typer(
    name="ilk",
    help="Group images of the same ilk. Nothing is ever sent anywhere; your images are never changed or moved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(short_help="Images in; groups, pictures, report and model out.")
def cluster(
    source: Source,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Run folder. [default: below ilk-runs/]")] = None,
    method: Annotated[str, typer.Option("-m", "--method", help="See `ilk methods`.")] = "transfer",
    k: Annotated[str, typer.Option("-k", help="Number of groups, or auto.")] = "auto",
    encoder: Annotated[
        str, typer.Option(help="auto, fast, balanced, dinov2, a timm model, a+b, module:function … See `ilk encoders`.")
    ] = "auto",
    weights: Annotated[
        Optional[Path], typer.Option(help="Weights of the encoder; remembered for the next time.")
    ] = None,
    features: Features = None,
    set_: Annotated[
        Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Any setting; repeat.")
    ] = None,
    near_duplicates: Annotated[
        Literal["keep", "stack"], typer.Option(help="stack: images that are nearly the same are grouped as one.")
    ] = "keep",
    labels: Labels = "auto",
    split: Split = "all",
    seed: Annotated[int, typer.Option(help="Same seed, same machine: same groups.")] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    engine: Engine = None,
    address: Address = None,
    workers: Workers = None,
    slice_: Annotated[
        Optional[float],
        typer.Option("--slice", metavar="MINUTES", help="Stop a training after this; the same command goes on."),
    ] = None,
    words: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="Your own words for groups, one a line; no others are used.")
    ] = None,
    no_names: Annotated[bool, typer.Option("--no-names", help="Do not guess what the groups look like.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")] = False,
    by_content: ByContent = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Group the images of SOURCE and write a run folder with pictures, tables, a report and a model."""
    from ilk.cli.show import Screen

    chosen = parse.method_options(
        k, parse.own_encoder(encoder), weights, set_ or [], seed, device, precision, parse.cache(cache, no_cache),
        near_duplicates,
    )  # fmt: skip
    from ilk import jobs

    with Screen(json) as screen:
        run = jobs.cluster(
            parse.sources(source), out, method=method, options=chosen, features=features, split=split, labels=labels,
            names=not no_names, words=words,
            overwrite=overwrite, command=parse.command_line(), max_seconds=parse.seconds(slice_),
            by_content=by_content, engine=parse.engine(engine, address, workers), on_event=screen.event,
        )  # fmt: skip
        screen.clustered(run)


app.command(short_help="Images into the cache, in parts on many machines.")(encode)


@app.command(short_help="Place new images into the groups of a run.")
def predict(
    run: RunPath,
    source: Annotated[
        list[str], typer.Argument(metavar="SOURCE…", help="As in `ilk cluster`; a single photo.jpg too.")
    ],
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Table to write: .csv or .parquet.")] = None,
    threshold: Annotated[
        Optional[float], typer.Option(help="0 to 1: the higher, the more is called none of these. [default: the run's]")
    ] = None,
    nearest: Annotated[
        Optional[int],
        typer.Option(metavar="N", help="Name N images of the run like each. [default: 5 for up to 8 images or --json]"),
    ] = None,
    method: Own = None,
    split: Split = "all",
    encoder: OwnEncoder = None,
    features: Features = None,
    device: Device = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    by_content: ByContent = False,
    uncorrected: Uncorrected = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Place the images of SOURCE into the groups of RUN; what fits none of them says so."""
    from ilk.cli import placing
    from ilk.cli.show import Screen

    out, given = parse.table_path(out), parse.sources(source)
    from ilk import jobs

    with Screen(json, aside=parse.is_stdout(out)) as screen:
        found = jobs.predict(
            parse.opened_run(run, uncorrected), given, split=split, threshold=threshold,
            nearest=5 if json and nearest is None else nearest, cls=method, device=device,
            cache=parse.cache(cache, no_cache), encoder=parse.own_encoder(encoder),
            features=features, by_content=by_content, on_event=screen.event,
        )  # fmt: skip
        notes = [] if out is None else found.write(out)
        placing.placed(screen, found, run, out)
        for note in (*found.notes, *notes):
            screen.note(note)


app.command(short_help="The images of a run most like one.")(similar)


@app.command(short_help="Score a run against true labels.")
def evaluate(
    run: RunPath,
    source: Annotated[
        Optional[list[str]], typer.Argument(metavar="[SOURCE…]", help="New images to predict first, then to score.")
    ] = None,
    labels: Labels = "auto",
    features: Features = None,
    method: Own = None,
    split: Split = "all",
    uncorrected: Uncorrected = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a run, or its predictions for SOURCE, against true labels."""
    from ilk.cli.show import Screen

    with Screen(json) as screen:
        screen.scored(
            parse.scores_of(
                parse.opened_run(run, uncorrected),
                parse.sources(source) if source else None,
                labels,
                split,
                features,
                method,
                screen.event,
            ),
            run,
        )


@app.command(short_help="What each layer of a trained network knows.")
def probe(
    run: RunPath,
    labels: Annotated[str, typer.Option(help="True labels: auto, folder, prefix, an npz key or a .csv.")] = "auto",
    source: Annotated[Optional[str], typer.Option(help="Other images than those of the run.")] = None,
    images: Annotated[Optional[str], typer.Option(metavar="N,M", help="At most N to train on, M to test.")] = None,
    epochs: Annotated[int, typer.Option(help="Of the linear classifiers.")] = 90,
    augment: Annotated[bool, typer.Option("--augment", help="Random crops and mirror images, as published.")] = False,
    ten_crop: Annotated[bool, typer.Option("--ten-crop", help="Test on the mean over ten crops.")] = False,
    supervised: Annotated[bool, typer.Option(help="Train the same network on the labels, and probe it too.")] = True,
    seed: Annotated[int, typer.Option(help="Of the classifiers and the random network.")] = 0,
    method: Own = None,
    device: Device = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train linear classifiers on each frozen layer of RUN's network, a random one's, and a supervised one's."""
    from ilk.cli import taking
    from ilk.cli.show import Screen

    counts = parse.two_counts(images)
    from ilk import probing

    with Screen(json) as screen:
        found = probing.probe(
            run, labels, source=source, images=counts, epochs=epochs, augment=augment, ten_crop=ten_crop,
            supervised=supervised, seed=seed, cls=method, device=device, cache=parse.cache(cache, no_cache),
            on_event=screen.event,
        )  # fmt: skip
        taking.probed(screen, found)


@app.command(short_help="One HTML file that opens offline.")
def report(
    run: RunPath,
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", help="The HTML file. [default: RUN/report.html]")
    ] = None,
    uncorrected: Uncorrected = False,
    debug: Debug = False,
) -> None:
    """Write the report of RUN anew, and its plots: one HTML file that opens offline. With -o the file alone."""
    from ilk.cli.show import Screen
    from ilk.report import images_of, write_plots, write_report

    screen = Screen(False, aside=parse.is_stdout(out))
    opened = parse.opened_run(run, uncorrected)
    source = images_of(opened)
    if out is None:  # those of the run are of the groups as they were when they were drawn
        write_plots(opened, source)
    screen.line(f"report   {write_report(opened, out, source)}")


app.command(short_help="See whole groups in the browser, and correct them.")(gallery)


app.command(short_help="A folder per group, sidecars, or tables for other tools.")(export)
app.command(short_help="Move, merge, split, rename … groups by hand; undo.")(correct)
app.command(short_help="Group again with what was corrected by hand.")(regroup)


app.command(short_help="New images join a run; nothing else moves.")(update)


@app.command(short_help="What two runs agree on, and what moved.")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN…", help="Two runs or more of the same images.")],
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", help="A picture of the flow: .png, .svg or .pdf.")
    ] = None,
    moved: Annotated[Optional[Path], typer.Option(help="A .csv of the images that changed their group.")] = None,
    uncorrected: Uncorrected = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say how much runs of the same images agree, which groups match, and what moved."""
    from ilk import comparing
    from ilk.cli import taking
    from ilk.cli.show import Screen

    taking.check_outputs(out, moved)
    found = comparing.compare([parse.opened_run(run, uncorrected) for run in runs])
    taking.compared(Screen(json, aside=parse.is_stdout(moved)), found, out, moved)


@app.command(short_help="What a run holds; how large the cache is.")
def info(
    run: Annotated[Optional[Path], typer.Argument(metavar="[RUN]", help="A run folder.")] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Show the size of the cache instead.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="With --cache: empty it.")] = False,
    uncorrected: Uncorrected = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what a run holds, or how large the cache is."""
    from ilk.cli.show import Screen

    screen = Screen(json)
    if cache == (run is not None) or (clear and not cache):
        raise typer.BadParameter("give a RUN, or --cache [--clear].")
    if cache:
        screen.cache(parse.cache_state(clear))
    else:
        from ilk import runs

        opened = parse.opened_run(Path(os.fspath(run or ".")), uncorrected)
        with runs.needed(opened):
            screen.run(opened)


@app.command(short_help="Methods x data x seeds beside published figures.")
def bench(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe: see docs/benchmarks.md.")],
    only: Annotated[
        Optional[list[str]], typer.Option(help="A row, a data set or a cell; * = anything; repeat.")
    ] = None,
    budget: Annotated[Optional[float], typer.Option(metavar="MINUTES", help="The recipe's reduced rows.")] = None,
    minutes: Annotated[Optional[float], typer.Option(help="Stop after this; the same command goes on.")] = None,
    table: Annotated[bool, typer.Option("--table", help="Run nothing; show what there is.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Run anew what is there already.")] = False,
    runs: Annotated[Optional[Path], typer.Option(help="Where runs are kept. [default: runs/ beside RECIPE]")] = None,
    device: Device = "auto",
    cache: Cache = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run a table of methods, data and seeds, and show it beside published figures."""
    from ilk.cli import benching

    code = benching.bench(
        recipe, only or [], budget, parse.seconds(minutes, "--minutes"), table, again, runs, device,
        parse.cache(cache, False), json,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command(short_help="The methods for -m; presets and settings of one.")
def methods(
    name: Annotated[Optional[str], typer.Argument(metavar="[NAME]", help="Show everything about this one.")] = None,
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


@app.command(short_help="The encoders; add or remove weights.")
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
