"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Optional

import typer

from ilk.cli import completing

Source = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE…",
        help="Folder, .tar, .zip, list of paths (.txt, .csv, .jsonl), .npz, .npy, .parquet, images, 'photos/*.jpg', "
        "s3://, gs://, az://, hf://, https://, or digits; several become one.",
    ),
]
ByContent = Annotated[
    bool, typer.Option("--by-content", help="Read every file anew; do not trust its name, size and time.")
]
RunPath = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A run folder made by `ilk cluster`.", autocompletion=completing.run_folders),
]
Fetch = Annotated[
    bool, typer.Option("--fetch", help="Ask the addresses (s3://, https:// …) that the run says its images are at.")
]
Uncorrected = Annotated[
    bool, typer.Option("--uncorrected", help="The groups as they were found, without corrections by hand.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; everything else on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Only the result, in a line or two, and errors.")]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="More: every choice and setting, every file left out, and times.")
]
Split = Annotated[Literal["all", "train", "test"], typer.Option(help="Part of a source that has train and test parts.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
Precision = Annotated[Literal["auto", "fp32", "bf16"], typer.Option(help="bf16 only where it is faster and agrees.")]
Labels = Annotated[
    str,
    typer.Option(
        metavar="LABELS",
        help="True labels, for scores only: auto, none, folder, prefix, an npz key or a .csv.",
        autocompletion=completing.label_words,
    ),
]
Features = Annotated[
    Optional[str],
    typer.Option(metavar="FILE", help="Your own features of the images: .npy, .parquet or FILE.parquet:COLUMN."),
]
Cache = Annotated[
    Optional[Path], typer.Option(metavar="DIR", help="Where features are kept for later runs. [default: ~/.cache/ilk]")
]
Own = Annotated[
    Optional[str],
    typer.Option("-m", "--method", metavar="CLASS", help="package.module:Class, where the run is of your own method."),
]
OwnEncoder = Annotated[
    Optional[str],
    typer.Option(metavar="NAME", help="Your own encoder as module:function, where the run was made with one."),
]
Engine = Annotated[
    Optional[Literal["ray"]], typer.Option(help="Who encodes: ray, the machines of a Ray cluster. See docs/scale.md.")
]
Address = Annotated[
    Optional[str], typer.Option(metavar="HOST:PORT", help="Head of the Ray cluster. [default: this machine's]")
]
Workers = Annotated[
    Optional[int], typer.Option(metavar="N", help="Processes of the engine. [default: one a core, or one a GPU]")
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep no features for later runs.")]
OldDry = Annotated[bool, typer.Option("--dry", hidden=True)]
OldPreview = Annotated[bool, typer.Option("--preview", hidden=True)]


def either(now: bool, before: bool, old: str, new: str = "--dry-run") -> bool:
    """Return whether an option was given, by its name or by its former one; a line says so then."""
    if before:
        typer.echo(f"note     {old} is now {new}; the old name goes with ilk 0.3", err=True)
    return now or before
