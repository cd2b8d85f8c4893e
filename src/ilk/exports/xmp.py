"""A sidecar: one small XMP file that says which group an image is in. Photo managers read its keyword."""

from __future__ import annotations

import hashlib
import re
from xml.sax.saxutils import escape

from ilk import disk

__all__ = ["ENDING", "is_ours", "sidecar"]

ENDING = ".xmp"
LARGEST = 64 << 10
"""Bytes of the largest sidecar of ours; no file beyond that can be one."""

_NO_XML = re.compile("[\ufffe\uffff]")  # what remains, in a printable text, of what XML cannot hold
_DIGEST = re.compile(rb'x:xmptk="ilk ([0-9a-f]{16})"')
_BLANK = "0" * 16
_TEXT = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="ilk {digest}">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>{name}</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>ilk|{leaf}</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def sidecar(name: str) -> bytes:
    """Return the sidecar of an image in the group called `name`.

    The keyword is the name, and ``ilk|name`` the same below a keyword of ours; a ``|``, which means a level there, is a
    ``/`` in the latter. The file knows a digest of itself, by which `is_ours` knows what nobody has changed.

    >>> b"<rdf:li>shirts &amp; tops</rdf:li>" in sidecar("shirts & tops")
    True
    """
    text = _NO_XML.sub("\ufffd", disk.printable(name))
    blank = _TEXT.format(digest=_BLANK, name=escape(text), leaf=escape(text.replace("|", "/")))
    data = blank.encode("utf-8")
    return data.replace(_BLANK.encode(), _digest(data), 1)


def is_ours(data: bytes) -> bool:
    """Whether `data` is a sidecar as `sidecar` made it: nobody has added to it, or changed it.

    >>> is_ours(sidecar("tops")), is_ours(sidecar("tops").replace(b"tops", b"hats")), is_ours(b"")
    (True, False, False)
    """
    found = _DIGEST.search(data)
    if found is None:
        return False
    start, stop = found.span(1)
    return found[1] == _digest(data[:start] + _BLANK.encode() + data[stop:])


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=8).hexdigest().encode()
