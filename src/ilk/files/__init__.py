"""Images as files: listing, reading, decoding, thumbnails. No torch, and no labels outside of `truth`.

Features of the user's own are read here as well.
"""

from __future__ import annotations

from ilk.files.addresses import Address, allow, is_address, local_only, public, without_secrets
from ilk.files.ahead import reading_ahead
from ilk.files.arrays import ARRAY_KINDS, ArraySet
from ilk.files.decode import Decoded, content_hash, decode, probe
from ilk.files.features import FeatureSet, are_features, load_features
from ilk.files.listing import Listing, is_run_folder, printable
from ilk.files.opening import SPLITS, as_list, open_again, open_source
from ilk.files.packs import Sprites, Thumbnails, write_thumbs
from ilk.files.passed import PassedOver
from ilk.files.samples import Samples
from ilk.files.several import rows_of_tables
from ilk.files.sprites import JoinedSprites, sprites_of
from ilk.files.survey import survey
from ilk.files.thumbs import make_thumb
from ilk.files.together import Together, open_together
from ilk.files.truth import Label, truth

__all__ = [
    "ARRAY_KINDS",
    "SPLITS",
    "Address",
    "ArraySet",
    "Decoded",
    "FeatureSet",
    "JoinedSprites",
    "Label",
    "Listing",
    "PassedOver",
    "Samples",
    "Sprites",
    "Thumbnails",
    "Together",
    "allow",
    "are_features",
    "as_list",
    "content_hash",
    "decode",
    "is_address",
    "is_run_folder",
    "load_features",
    "local_only",
    "make_thumb",
    "open_again",
    "open_source",
    "open_together",
    "printable",
    "probe",
    "public",
    "reading_ahead",
    "rows_of_tables",
    "sprites_of",
    "survey",
    "truth",
    "without_secrets",
    "write_thumbs",
]
