"""ilk groups images of the same ilk.

The public names are imported on first use: ``import ilk`` loads neither torch nor scikit-learn.

>>> import ilk
>>> ilk.__version__ != "0+unknown"
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ilk import methods

# public name -> module that defines it; besides, every method of `ilk.methods`
_HOMES = {
    "SimCLR": "ilk.methods.scan.simclr",
    "choose_k": "ilk.choose",
    "cluster": "ilk.jobs",
    "load": "ilk.methods",
    "predict": "ilk.jobs",
    "gather": "ilk.jobs",
    "update": "ilk.jobs",
    "evaluate": "ilk.scoring",
    "export": "ilk.exports",
    "probe": "ilk.probing",
    "compare": "ilk.comparing",
    "load_run": "ilk.runs",
    "open_images": "ilk.data",
}

__all__ = ["__version__", *_HOMES, *methods.__all__]

if TYPE_CHECKING:
    __version__: str
    from ilk.choose import choose_k as choose_k
    from ilk.comparing import compare as compare
    from ilk.data import open_images as open_images
    from ilk.exports import export as export
    from ilk.jobs import cluster as cluster
    from ilk.jobs import gather as gather
    from ilk.jobs import predict as predict
    from ilk.jobs import update as update
    from ilk.methods import load as load
    from ilk.methods.dac import DAC as DAC
    from ilk.methods.deepcluster import DeepCluster as DeepCluster
    from ilk.methods.scan import SCAN as SCAN
    from ilk.methods.scan.simclr import SimCLR as SimCLR
    from ilk.methods.transfer import TransferClustering as TransferClustering
    from ilk.probing import probe as probe
    from ilk.runs import load_run as load_run
    from ilk.scoring import evaluate as evaluate


def __getattr__(name: str) -> Any:
    if name == "__version__":  # in a checkout git is asked, so only who wants to know waits for it
        from ilk._versions import version

        return version()
    if name == "scale":  # ilk.scale.Ray, without a second import
        return importlib.import_module("ilk.scale")
    if name not in __all__:
        raise AttributeError(f"module 'ilk' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "ilk.methods")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
