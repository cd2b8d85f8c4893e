"""`ilk cluster`: images in; groups, pictures, report and model out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from ilk.cli import completing
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
    Precision,
    Quiet,
    Source,
    Split,
    Verbose,
    Workers,
)

__all__ = ["cluster"]


Out = Annotated[
    Optional[Path],
    typer.Option("-o", "--out", metavar="RUN", help="Run folder to write. [default: below ilk-runs/]"),
]
Method = Annotated[
    str,
    typer.Option(
        "-m",
        "--method",
        metavar="NAME",
        help="How to group; `ilk methods` lists all.",
        autocompletion=completing.method_names,
    ),
]
Number = Annotated[str, typer.Option("-k", metavar="N", help="Number of groups; auto chooses one and shows why.")]
Encoder = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="What turns an image into numbers: auto, fast, balanced, dinov2, a timm model, a+b, module:function … "
        "See `ilk encoders`.",
        autocompletion=completing.encoder_names,
    ),
]
Weights = Annotated[
    Optional[str],
    typer.Option(metavar="FILE", help="Weights of the encoder: a file or an address; remembered for the next time."),
]
Set = Annotated[
    Optional[list[str]],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any setting of the method or encoder, such as preset=kmeans (`ilk methods NAME`); repeat.",
        autocompletion=completing.settings_of,
    ),
]
Near = Annotated[
    Literal["keep", "stack"], typer.Option(help="stack: images that are nearly the same are grouped as one.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Same seed, same machine: same groups.")]
Slice = Annotated[
    Optional[float],
    typer.Option("--slice", metavar="MINUTES", help="Stop a training after this; the same command goes on."),
]
Words = Annotated[
    Optional[Path], typer.Option(metavar="FILE", help="Your own words for groups, one a line; no others are used.")
]
NoNames = Annotated[bool, typer.Option("--no-names", help="Do not guess what the groups look like.")]
Copies = Annotated[
    Optional[bool],
    typer.Option(
        "--copies/--no-copies",
        help="Copy features and thumbnails into the run, or name where they are in the cache. "
        "[default: copies below a million images]",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of the same name.")]


def cluster(
    source: Source,
    out: Out = None,
    method: Method = "transfer",
    k: Number = "auto",
    encoder: Encoder = "auto",
    weights: Weights = None,
    features: Features = None,
    set_: Set = None,
    near_duplicates: Near = "keep",
    labels: Labels = "auto",
    split: Split = "all",
    seed: Seed = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    cache: Cache = None,
    no_cache: NoCache = False,
    engine: Engine = None,
    address: Address = None,
    workers: Workers = None,
    slice_: Slice = None,
    words: Words = None,
    no_names: NoNames = False,
    copies: Copies = None,
    overwrite: Overwrite = False,
    by_content: ByContent = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Group the images of SOURCE and write a run folder with pictures, tables, a report and a model."""
    from ilk.cli.show import Screen

    chosen = parse.method_options(
        k, parse.own_encoder(encoder), weights, set_ or [], seed, device, precision, parse.cache(cache, no_cache),
        near_duplicates,
    )  # fmt: skip
    with Screen(json, quiet=quiet, verbose=verbose) as screen:
        from ilk import jobs

        run = jobs.cluster(
            parse.sources(source), out, method=method, options=chosen, features=features, split=split, labels=labels,
            names=not no_names, words=words,
            overwrite=overwrite, command=parse.command_line(), max_seconds=parse.seconds(slice_),
            by_content=by_content, engine=parse.engine(engine, address, workers), copies=copies,
            on_event=screen.event,
        )  # fmt: skip
        screen.clustered(run)
