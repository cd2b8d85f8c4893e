"""The command line: parse, call one function of the library, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["main"]

_INTERRUPTED = 130
_ENDED = 128 + signal.SIGTERM


def main(arguments: list[str] | None = None) -> int:
    """Run ``ilk`` with `arguments` (default: those of the process) and return its exit code.

    0 done; 1 our error, one line on stderr; 2 wrong usage; 130 interrupted; 143 ended by SIGTERM.
    """
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - closed by whoever started us: ilk … >&-
    sys.stderr = sys.stderr or sys.stdout
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that this terminal cannot show is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    from ilk.cli.starting import prepare

    prepare(whole_process=arguments is None)
    from ilk.cli.commands import app

    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        with _ending():
            code = app(arguments, standalone_mode=False, prog_name="ilk")
        sys.stdout.flush()
    except _Ended:
        return _interrupted(arguments, _ENDED)
    except KeyboardInterrupt:
        return _interrupted(arguments)
    except BrokenPipeError:
        # whoever read our output has left: nothing to say, and nothing to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _interrupted(arguments) if type(error).__name__ == "Abort" else _explain(error)
    if code == _INTERRUPTED:  # typer's answer to Ctrl-C
        return _interrupted(arguments)
    return int(code) if isinstance(code, int) else 0


class _Ended(BaseException):
    """SIGTERM came: as Ctrl-C, so that temporary folders and half-written files are removed on the way out."""


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Turn the first SIGTERM into `_Ended`, unless somebody else already listens for it; the second ends at once."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise _Ended

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupted(arguments: list[str], code: int = _INTERRUPTED) -> int:
    _say(
        ("\ninterrupted." if code == _INTERRUPTED else "\nended from outside (SIGTERM).")
        + (" The same command goes on from here." if arguments[:1] in (["cluster"], ["bench"], ["export"]) else "")
    )
    return code


def _explain(error: Exception) -> int:
    """Print one line for `error` and return the exit code it stands for."""
    from ilk.cli.words import printable
    from ilk.errors import IlkError, Interrupted

    name = type(error).__name__
    if hasattr(error, "exit_code"):  # typer's own: wrong usage, or a plain exit
        if hasattr(error, "show") and hasattr(error, "format_message"):
            told = printable(error.format_message())
            error.format_message = lambda: told
            error.show()
        return int(error.exit_code)
    if isinstance(error, IlkError):
        _say(f"ilk: {printable(str(error))}")
        return _INTERRUPTED if isinstance(error, Interrupted) else 1
    if isinstance(error, MemoryError):
        _say("ilk: out of memory. Close other programs, or group fewer images at once.")
    elif isinstance(error, RuntimeError) and "home directory" in str(error):
        _say("ilk: there is no home folder that ~ could stand for. Give the whole path, or set HOME.")
    elif isinstance(error, OSError):
        where = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        _say(f"ilk: {printable(f'{error.strerror or error}{where}')}. Nothing that was finished is lost.")
    else:
        told = printable(f"{name}: {error}")
        _say(f"ilk: unexpected {told}. Please report it with the output of the same command and --debug.")
    return 1


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)
