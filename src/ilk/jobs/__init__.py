"""Whole jobs: images in, a finished run folder out; a run and new images in, predictions out, or a run that grew."""

from ilk._versions import commit
from ilk.jobs.clustering import cluster, default_run
from ilk.jobs.encoding import encode
from ilk.jobs.gathering import gather
from ilk.jobs.models import give_training_images, model_of
from ilk.jobs.prediction import Prediction, predict
from ilk.jobs.similarity import Alike, similar
from ilk.jobs.updating import Updated, update

__all__ = [
    "Alike",
    "Prediction",
    "Updated",
    "cluster",
    "commit",
    "default_run",
    "encode",
    "gather",
    "give_training_images",
    "model_of",
    "predict",
    "similar",
    "update",
]
