"""A pickle of plain data, read as a format: arrays of numbers, bytes, texts, lists and dicts. Nothing of it is run.

The data sets CIFAR-10 and CIFAR-100 are published as pickles. Python's own loader calls what a pickle names, so it is
never used: the instructions are taken one by one, those that would make anything else are refused, and an array is made
here from its bytes.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilk.disk import one_line
from ilk.errors import DataError

__all__ = ["plain_pickle"]

_INSTRUCTIONS = 2_000_000  # each may take some hundred bytes of memory; the largest batch of CIFAR has 300,000
_AGAIN = 2**20  # bytes that may be taken again from what was read before, beside as many as the file has
_ITEM = 8  # bytes of an item of a list
_RECONSTRUCT = {f"{package}.multiarray _reconstruct" for package in ("numpy.core", "numpy._core")}
_FROMBUFFER = {f"{package}.numeric _frombuffer" for package in ("numpy.core", "numpy._core")}
_ENCODE, _DTYPE, _ARRAY = "_codecs encode", "numpy dtype", "numpy ndarray"
_KNOWN = {*_RECONSTRUCT, *_FROMBUFFER, _ENCODE, _DTYPE, _ARRAY}
_NUMBERS = {"u1": "u1", "i1": "i1", "u2": "u2", "i2": "i2", "i4": "i4", "u4": "u4", "i8": "i8", "f4": "f4", "f8": "f8"}
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_PLAIN = set(
    """INT BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES
    SHORT_BINBYTES BINBYTES8 BYTEARRAY8 LONG""".split()  # noqa: SIM905
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Global(str):
    """The name of something that a pickle wants to have called; only a few are known, and none is called."""


class _Dtype:
    """A type of numbers on its way: its name, and its byte order."""

    def __init__(self, name: str) -> None:
        self.name, self.order = name, "|"

    def made(self) -> np.dtype[Any]:
        return np.dtype(self.name if self.name in ("u1", "i1") else self.order.replace("|", "<") + self.name)


class _Array:
    """An array on its way: empty until its state is given."""

    def __init__(self) -> None:
        self.values: NDArray[Any] | None = None


def plain_pickle(data: bytes, what: str) -> Any:
    """Return what a pickle of plain data holds; texts of Python 2 come as bytes.

    Raises
    ------
    DataError
        It is damaged, or wants anything else than numbers, texts, lists, tuples, dicts and arrays of numbers; or it
        names parts of itself so often that written out it were far larger than the file.

    Notes
    -----
    What is taken again is counted as if it stood there once more, and lists and dicts are copied: nothing that comes
    out is larger than some times `data` and 1 MiB, however often its parts hold each other.
    """
    try:
        with warnings.catch_warnings():  # of odd escapes in a damaged one
            warnings.simplefilter("ignore")
            return _Reader(what).read(data)
    except DataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise DataError(f"{what} is damaged: {one_line(error)[:100] or type(error).__name__}") from error


class _Reader:
    def __init__(self, what: str) -> None:
        self.what = what
        self.left = _AGAIN  # bytes
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.marks: list[int] = []
        self.makers: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self.marks.append(len(self.stack)),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "DICT": lambda _: self.stack.append(_pairs(self._marked())),
            "LIST": lambda _: self.stack.append(self._marked()),
            "TUPLE": lambda _: self.stack.append(tuple(self._marked())),
            "APPEND": lambda _: self._extend([self.stack.pop()]),
            "APPENDS": lambda _: self._extend(self._marked()),
            "SETITEM": lambda _: self._update([self.stack.pop(-2), self.stack.pop()]),
            "SETITEMS": lambda _: self._update(self._marked()),
            "GLOBAL": self._named,
            "STACK_GLOBAL": lambda _: self._named(" ".join([self.stack.pop(-2), self.stack.pop()])),
            "REDUCE": lambda _: self.stack.append(self._called(self.stack.pop(-2), self.stack.pop())),
            "BUILD": lambda _: self._built(self.stack.pop()),
        }

    def read(self, data: bytes) -> Any:
        self.left = _AGAIN + len(data)
        for count, (code, value, _) in enumerate(pickletools.genops(data)):
            if count > _INSTRUCTIONS:
                raise ValueError(f"more than {_INSTRUCTIONS:,} instructions")
            name = code.name
            if name == "STOP":
                return _finished(self.stack.pop())
            if name in _PLAIN:
                self.stack.append(value)
            elif name in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
                self.stack.append(str(value).encode("latin-1"))
            elif name in _VALUES:
                self.stack.append(_VALUES[name])
            elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
                self.memo[len(self.memo) if name == "MEMOIZE" else _small(int(str(value)))] = self.stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self.stack.append(self._again(self.memo[int(str(value))]))
            elif name not in ("PROTO", "FRAME"):
                self._make(name, value)
        raise ValueError("it breaks off")

    def _again(self, value: Any) -> Any:
        """Return what was read before, at the price of what it takes where everything in it is written out."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            kind = type(one)
            parts = [*one, *one.values()] if kind is dict else one if kind in (list, tuple) else ()
            size = (
                (one.bit_length() >> 3) if kind is int else len(one) if isinstance(one, str | bytes | bytearray) else 0
            )
            self.left -= _ITEM + size + _ITEM * len(parts)
            if self.left < 0:
                raise ValueError("written out it would be far larger than the file")
            waiting.extend(parts)
        return value.copy() if type(value) in (list, dict) else value

    def _make(self, name: str, value: Any) -> None:
        if name in _TUPLES:
            count = _TUPLES[name]
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif name in self.makers:
            self.makers[name](value)
        else:
            self._refuse(f"the instruction {name}")

    def _refuse(self, wanted: str) -> None:
        raise DataError(
            f"{self.what} is a pickle that wants {one_line(wanted)[:100]}: ilk reads plain arrays from it, and runs "
            "nothing"
        )

    def _marked(self) -> list[Any]:
        at = self.marks.pop()
        found = self.stack[at:]
        del self.stack[at:]
        return found

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("a list was expected")
        target.extend(values)

    def _update(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise ValueError("a dict was expected")
        target.update(_pairs(values))

    def _named(self, name: str) -> None:
        if name not in _KNOWN:
            self._refuse(name.replace(" ", "."))
        self.stack.append(_Global(name))

    def _called(self, what: Any, given: tuple[Any, ...]) -> Any:
        if not isinstance(what, _Global) or not isinstance(given, tuple):
            self._refuse("a call")
        if what in _RECONSTRUCT:
            return _Array()
        if what == _DTYPE:
            name = given[0].decode("ascii") if isinstance(given[0], bytes) else _text(given[0])
            if name not in _NUMBERS:
                self._refuse(f"an array of {name}")
            return _Dtype(name)
        if what == _ENCODE:
            return _text(given[0]).encode("latin-1")
        if what in _FROMBUFFER:
            found = _Array()
            found.values = _array(given[0], given[1], given[2], given[3] == "F")
            return found
        return self._refuse(f"a call of {what.replace(' ', '.')}")

    def _built(self, state: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, _Dtype):
            order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
            if order not in ("<", ">", "|") or any(part is not None for part in state[2:5]):
                self._refuse("an array of records")
            target.order = order
        elif isinstance(target, _Array):
            target.values = _array(state[4], state[2], state[1], bool(state[3]))
        else:
            self._refuse("an object with a state")


def _text(value: Any) -> str:
    if type(value) is not str:  # never `str(…)`: what holds itself many times over would be written out
        raise ValueError("a text was expected")
    return value


def _array(data: Any, kind: Any, shape: Any, fortran: bool) -> NDArray[Any]:
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, _Dtype):
        raise ValueError("an array of something else than numbers")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array of an odd shape")
    return np.frombuffer(data, kind.made()).reshape(shape, order="F" if fortran else "C")


def _small(number: int) -> int:
    """Return `number` where it has 64 bits: of larger ones thousands may have one hash, and a dict takes their square.

    Python's hash of a number is what 2^61 - 1 leaves of it; that of a text is another one in each process.
    """
    if number.bit_length() > 64:
        raise ValueError("a number of more than 64 bits as a key")
    return number


def _pairs(values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    if len(values) % 2 or not all(isinstance(key, str | bytes) or type(key) is int for key in keys):
        raise ValueError("a dict with odd keys")
    for key in keys:
        if isinstance(key, int):
            _small(key)
    return dict(zip(keys, values[1::2], strict=True))


def _finished(value: Any) -> Any:
    """Return `value` with its arrays in place, as deep as the data sets are."""
    if isinstance(value, _Array):
        return value.values
    if type(value) is dict:
        return {key: one.values if isinstance(one, _Array) else one for key, one in value.items()}
    return value
