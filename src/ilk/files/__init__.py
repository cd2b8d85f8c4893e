"""Images as files: listing, reading, decoding, thumbnails. No torch, and no labels outside of `truth`."""

from __future__ import annotations

from ilk.files.arrays import ArraySet
from ilk.files.decode import Decoded, content_hash, decode, probe
from ilk.files.listing import Listing, is_run_folder
from ilk.files.opening import SPLITS, open_source
from ilk.files.thumbs import Sprites, decode_sheet, encode_sheet, make_thumb, write_sheets
from ilk.files.truth import truth

__all__ = [
    "SPLITS",
    "ArraySet",
    "Decoded",
    "Listing",
    "Sprites",
    "content_hash",
    "decode",
    "decode_sheet",
    "encode_sheet",
    "is_run_folder",
    "make_thumb",
    "open_source",
    "probe",
    "truth",
    "write_sheets",
]
