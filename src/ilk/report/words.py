"""How numbers, durations, names and qualities read in a report."""

from __future__ import annotations

import json
import math
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

# format characters that change how their neighbours are shown: bidi controls, zero-width and invisible ones
_SHOWN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}  # part of ordinary words and emoji


def visible(text: str) -> str:
    r"""Return `text` with every control, bidi and lone-surrogate character written out as an escape.

    Examples
    --------
    >>> visible("a\nb")
    'a\\nb'
    >>> visible("photo\u202egpj.exe")
    'photo\\u202egpj.exe'
    """
    if text.isprintable():
        return text
    return "".join(_written_out(c) if unicodedata.category(c) in _SHOWN and c not in _JOINERS else c for c in text)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shortened(text: str, limit: int = 120) -> str:
    """Return `text` with its middle left out where it is longer than `limit` characters.

    Examples
    --------
    >>> shortened("abcdefghijkl", 7)
    'abc…jkl'
    """
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[: limit - 1 - half]}…{text[-half:]}"


def count(n: float) -> str:
    """Return an integer with thousands set apart: ``70,000``."""
    return f"{int(n):,}"


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """Return a share in per cent, never 0 % for something and never 100 % for less than all.

    Examples
    --------
    >>> share(51, 1000), share(1, 100000), share(0, 5), share(5, 5), share(99999, 100000)
    ('5.1 %', '< 0.1 %', '0 %', '100 %', '> 99.9 %')
    """
    if whole <= 0 or part <= 0:
        return "0 %"
    if part >= whole:
        return "100 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if percent > 99.9 else f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """Return seconds as people say them.

    Examples
    --------
    >>> duration(0.034), duration(8.26), duration(75), duration(3720)
    ('0.03 s', '8.3 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def decimal(value: Any, digits: int = 3) -> str:
    """Return a number of a table for reading: integers whole, large ones grouped, others to a few digits, missing as –.

    Examples
    --------
    >>> decimal(0.51234), decimal(12), decimal(None), decimal(18234.5), decimal(float("nan"))
    ('0.512', '12', '–', '18,234', '–')
    """
    number = finite(value)
    if number is None:
        return "–" if value is None or isinstance(value, float) else plain(value)
    if isinstance(value, int) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 100 else f"{number:.{digits}f}"


def finite(value: Any) -> float | None:
    """Return `value` as a float, or None where it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def plain(value: Any, limit: int = 400) -> str:
    """Return a parameter's value as short text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shortened(text, limit)


def command_line(command: str | Sequence[Any] | None) -> str:
    """Return a command, given as text or as its words, as one line for a shell."""
    if command is None:
        return ""
    return command if isinstance(command, str) else shlex.join(str(word) for word in command)


APART: Mapping[str, tuple[float, float, int]] = {
    "well apart": (0.15, 0.8, 92),
    "fairly distinct": (0.08, 0.7, 86),
    "overlaps others": (0.04, 0.5, 59),
    "blends in": (-1.0, 0.0, 41),
}
"""What is said of a group -> the least mean silhouette and the least mean confidence for it, and the purity of such
groups, in per cent, on the sets of `benchmarks/words.py` with as many groups as classes: the share of a group's most
frequent class. The limits were set once on these figures, and hold for features of a frozen encoder."""


UNMEASURED = "not measured since you corrected it"
"""What is said instead of a group of which too much was corrected by hand for its numbers to hold."""


def apart(header: Mapping[str, Any], silhouette: float | None, confidence: float | None) -> str:
    """Say how far apart a group stands, by both of its numbers: neither can be better than the word.

    Parameters
    ----------
    header
        Of the run: nothing is said of features that were learned on the very images, nor of older runs.
    silhouette, confidence
        Means of the group's images; None where unknown, and then nothing is said.

    Examples
    --------
    >>> header = {"quality": {"silhouette": {"space": "features"}}}
    >>> apart(header, 0.25, 0.9), apart(header, 0.25, 0.4)
    ('well apart', 'blends in')
    """
    if silhouette is None or confidence is None or not calibrated(header):
        return ""
    fitting = (word for word, (least, confident, _) in APART.items() if silhouette >= least and confidence >= confident)
    return next(fitting, list(APART)[-1])


def calibrated(header: Mapping[str, Any]) -> bool:
    """Whether the silhouettes of a run are of the kind that the words were set on."""
    record = (header.get("quality") or {}).get("silhouette") or {}
    return bool(record.get("space") == "features")


def meaning() -> str:
    """Say what the words stood for where the labels are known.

    Examples
    --------
    >>> meaning()[:82]
    'by both. Where labels are known, and for as many groups as kinds, of one kind were'
    """
    shares = [f"{purity} % of a group “{word}”" for word, (_, _, purity) in APART.items()]
    rest = ", ".join(one.replace(" of a group", "") for one in shares[1:])
    return f"by both. Where labels are known, and for as many groups as kinds, of one kind were {shares[0]}, {rest}"
