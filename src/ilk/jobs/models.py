"""A run in, its fitted model out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ilk import _record, methods, runs
from ilk.errors import DataError, RunError
from ilk.files import Samples

__all__ = ["give_training_images", "model_of"]


def model_of(
    run: runs.Run,
    *,
    cls: type[Any] | str | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    encoder: Any = None,
) -> Any:
    """Return the fitted model of `run` with its encoder: what `runs.Run.model` returns, without the training images.

    Raises
    ------
    ArgumentError
        The run is of a method that is not one of ilk's, and `cls` is not its class.
    RunError
        The model is damaged, or the encoder's weights are not those it was made with.
    """
    kept = methods.registered(run.header["method"], cls)
    model = methods.rebuild(
        kept,
        run.state(),
        f"the model in {run.path}",
        runs.AGAIN,
        params=run.header["params"],
        weights_file=_record.weights_of(run),
        own_encoder=encoder,
        device=device,
        cache=cache,
    )
    model.samples_ = Samples.of_run(run.header)
    return model


def give_training_images(model: Any, run: runs.Run) -> None:
    """Let `model`, which is that of `run`, compare new images with those of the run.

    Raises
    ------
    RunError
        The features of the run are missing or damaged, or not those of the model.
    """
    run = run.as_made()  # what joined it later, the model has not seen
    distinct = np.flatnonzero(np.array(run.images()["status"]) == "ok")
    try:
        model.remember(run.features(), distinct)
    except DataError as error:
        raise RunError(f"{run.features_path} is damaged: {error}. {runs.AGAIN}") from None
