"""More than one process on the same images: parts of a source, and machines that share a cache.

`ilk.scale.encode_part` fills the cache for a range of the images of a source; `ilk.scale.Ray` is an engine that does so
on many machines. See docs/scale.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ilk.scale.parts import cut as cut
    from ilk.scale.parts import decide as decide
    from ilk.scale.parts import encode_part as encode_part
    from ilk.scale.parts import share as share
    from ilk.scale.ray import Ray as Ray

_HOMES = {"Ray": "ray", "cut": "parts", "decide": "parts", "encode_part": "parts", "share": "parts"}

__all__ = ["Ray", "cut", "decide", "encode_part", "share"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ilk.scale' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ilk.scale.{_HOMES[name]}"), name)
