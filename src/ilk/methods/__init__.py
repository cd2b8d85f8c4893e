"""The estimators. The command line, the contract tests and the docs read the one table, `REGISTRY`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ilk.errors import ArgumentError, nearest
from ilk.methods.names import refuse_unknown

REGISTRY = {
    "transfer": "transfer.TransferClustering",
    "hierarchical": "hierarchical.Hierarchical",
    "dac": "dac.DAC",
    "scan": "scan.SCAN",
    "deepcluster": "deepcluster.DeepCluster",
    "temi": "temi.TEMI",
    "turtle": "turtle.TURTLE",
    "kmeans": "baselines.classical.KMeans",
    "spectral": "baselines.classical.Spectral",
    "agglomerative": "baselines.classical.Agglomerative",
    "nmf": "baselines.classical.NMF",
    "autoencoder": "baselines.autoencoders.Autoencoder",
    "sparse_autoencoder": "baselines.autoencoders.SparseAutoencoder",
    "denoising_autoencoder": "baselines.autoencoders.DenoisingAutoencoder",
    "deconvolutional": "baselines.autoencoders.Deconvolutional",
    "swwae": "baselines.autoencoders.SWWAE",
    "vae": "baselines.autoencoders.VAE",
    "gan": "baselines.gan.GAN",
    "dec": "baselines.dec.DEC",
    "jule": "baselines.jule.JULE",
    "umap_gmm": "baselines.classical.UMAPMixture",
    "random": "baselines.classical.RandomGroups",
}
"""Every method: its short name, and where its class is. A new method is one line here, and nothing else."""

_CLASSES = {path.rpartition(".")[2]: path.rpartition(".")[0] for path in REGISTRY.values()}
_OTHERS = {"ImageClusterer": "base", "rebuild": "saving.rebuilding"}

__all__ = sorted(_CLASSES)


def short_names() -> dict[str, str]:
    """Return the command line's name of every method, with the name of its class.

    >>> short_names()["transfer"]
    'TransferClustering'
    """
    return {short: path.rpartition(".")[2] for short, path in REGISTRY.items()}


def registered(name: str, given: type[Any] | str | None = None) -> type[Any]:
    """Return the class of a model that was kept: one of ilk's methods, or the one that the caller gives.

    Nothing is imported: what a file names is data.

    Parameters
    ----------
    name
        As it was kept: a short name, a class name, or ``module:Class``.
    given : class or str, optional
        Must be called so; ``module:Class``, said by the caller, is imported.

    Raises
    ------
    ArgumentError
        Neither one of ilk's methods nor the one that was given.

    >>> registered("transfer").__name__
    'TransferClustering'
    """
    known = short_names().get(name, name)
    wanted = known if known in __all__ else name.rpartition(":")[2]
    if isinstance(given, str):
        given = find(given)
    if given is not None:
        if not isinstance(given, type) or not callable(getattr(given, "from_state", None)):
            raise ArgumentError(f"cls={given!r}: give a class derived from ilk.methods.ImageClusterer.")
        if given.__name__ != wanted:
            raise ArgumentError(f"cls={given.__name__}: the model is of the class {wanted}.")
        return given
    if known not in __all__:
        raise ArgumentError(
            f"no method {name!r} among ilk's own, and a file never says what code to run: give the class, cls={wanted} "
            "(`ilk predict`: --method package.module:Class)."
        )
    return getattr(sys.modules[__name__], known)  # type: ignore[no-any-return]


def load(
    path: str | Path,
    *,
    cls: type[Any] | str | None = None,
    device: str = "auto",
    cache: str | Path | None = None,
    encoder: Any = None,
) -> Any:
    """Return the fitted model that `ImageClusterer.save` wrote, with its encoder.

    Parameters
    ----------
    path
        The file. It is checked to the last byte, and nothing in it is ever executed.
    cls : class or str, optional
        The model's class where it is not one of ilk's, or ``module:Class``.
    device
        "auto", "cpu" or "cuda".
    cache
        Where the converted encoder is kept for the next time; None: nowhere, and it is converted anew (2 to 10 s).
    encoder
        The user's own encoder the model was fitted with, again: an object or ``module:function``.

    Raises
    ------
    RunError
        No such file, damaged, not a model, or written by a newer ilk.
    ArgumentError
        It is of a class that is not one of ilk's, and `cls` is not that class.
    NotEnoughMemory
    """
    from ilk.methods.saving.model_file import read

    def class_of(name: str, own: bool) -> type[Any]:
        return registered(f":{name}" if own else name, cls)

    return read(Path(path).expanduser(), class_of, device=device, cache=cache, own_encoder=encoder)


def find(name: str) -> type[Any]:
    """Return the estimator class called `name`: a short name, a class name, or ``package.module:Class``.

    Raises
    ------
    ArgumentError
        No such method, or the module cannot be imported, or the class lacks ``fit`` and ``predict``.

    >>> find("transfer").__name__
    'TransferClustering'
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            cls = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ArgumentError(f"method {name!r} cannot be loaded: {error}.") from None
        if not all(callable(getattr(cls, verb, None)) for verb in ("fit", "predict", "from_options", "from_state")):
            raise ArgumentError(f"method {name!r} is not an ilk estimator: derive it from ilk.methods.ImageClusterer.")
        return cls  # type: ignore[no-any-return]
    return getattr(sys.modules[__name__], _long(name))  # type: ignore[no-any-return]


def check_names(name: str, options: Mapping[str, Any]) -> None:
    """Raise where method `name` lacks one of `options` or the preset among them, before torch is loaded.

    What passes is checked again by the class itself (`from_options`, `resolved`); ``package.module:Class`` always does.

    Raises
    ------
    ArgumentError
        No such method, option or preset, with the nearest one that there is.

    >>> check_names("transfer", {"cluster": "kmeans"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ilk.errors.ArgumentError: TransferClustering has no option 'cluster'. Did you mean 'clusterer'?
    """
    if ":" not in name:
        refuse_unknown(_long(name), options)


def _long(name: str) -> str:
    """Return the class name of a method of ours."""
    long = short_names().get(name, name)
    if long not in __all__:
        known = list(REGISTRY)
        there = f" There are {', '.join(known)}, or package.module:Class (`ilk methods` lists them)."
        raise ArgumentError(f"no method {name!r}." + (nearest(name, known) or there))
    return long


def __getattr__(name: str) -> Any:
    home = _CLASSES.get(name) or _OTHERS.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
