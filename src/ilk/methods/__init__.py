"""The estimators. `__all__` is the registry: the command line, the contract tests and the docs read this list."""

from __future__ import annotations

import importlib
from typing import Any

from ilk.errors import ArgumentError, nearest
from ilk.methods._base import ImageClusterer as ImageClusterer
from ilk.methods.autoencoders import (
    SWWAE,
    VAE,
    Autoencoder,
    Deconvolutional,
    DenoisingAutoencoder,
    SparseAutoencoder,
)
from ilk.methods.classical import NMF, Agglomerative, KMeans, RandomGroups, Spectral, UMAPMixture
from ilk.methods.dac import DAC
from ilk.methods.dec import DEC
from ilk.methods.deepcluster import DeepCluster
from ilk.methods.gan import GAN
from ilk.methods.jule import JULE
from ilk.methods.scan import SCAN
from ilk.methods.transfer import TransferClustering

__all__ = [
    "DAC",
    "DEC",
    "GAN",
    "JULE",
    "NMF",
    "SCAN",
    "SWWAE",
    "VAE",
    "Agglomerative",
    "Autoencoder",
    "Deconvolutional",
    "DeepCluster",
    "DenoisingAutoencoder",
    "KMeans",
    "RandomGroups",
    "SparseAutoencoder",
    "Spectral",
    "TransferClustering",
    "UMAPMixture",
]

# the short names of the command line
_SHORT = {
    "transfer": "TransferClustering",
    "dac": "DAC",
    "scan": "SCAN",
    "deepcluster": "DeepCluster",
    "kmeans": "KMeans",
    "spectral": "Spectral",
    "agglomerative": "Agglomerative",
    "nmf": "NMF",
    "autoencoder": "Autoencoder",
    "sparse_autoencoder": "SparseAutoencoder",
    "denoising_autoencoder": "DenoisingAutoencoder",
    "deconvolutional": "Deconvolutional",
    "swwae": "SWWAE",
    "vae": "VAE",
    "gan": "GAN",
    "dec": "DEC",
    "jule": "JULE",
    "umap_gmm": "UMAPMixture",
    "random": "RandomGroups",
}


def short_names() -> dict[str, str]:
    """Return the command line's name of every method in `__all__`, in that order.

    >>> short_names()["transfer"]
    'TransferClustering'
    """
    return {short: name for name in __all__ for short, long in _SHORT.items() if long == name}


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
    known = _SHORT.get(name, name)
    own = name.rpartition(":")[2]
    if isinstance(given, str):
        given = find(given)
    if given is not None:
        if not isinstance(given, type) or not callable(getattr(given, "from_state", None)):
            raise ArgumentError(f"cls={given!r}: give a class derived from ilk.methods.ImageClusterer.")
        if given.__name__ != (known if known in __all__ else own):
            raise ArgumentError(f"cls={given.__name__}: the model is of the class {own}.")
        return given
    if known not in __all__:
        raise ArgumentError(
            f"no method {name!r} among ilk's own, and a file never says what code to run: give the class, cls={own} "
            "(`ilk predict`: --method package.module:Class)."
        )
    return globals()[known]  # type: ignore[no-any-return]


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
    long = _SHORT.get(name, name)
    if long not in __all__:
        known = list(_SHORT)
        raise ArgumentError(
            f"no method {name!r}; there are {', '.join(known)}, or package.module:Class." + nearest(name, known)
        )
    return globals()[long]  # type: ignore[no-any-return]
