"""The command line: parse, call one function of the library, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["main"]

_INTERRUPTED = 130
_MEMORY = re.compile(
    "failed to map segment|[Cc]annot allocate memory|can't allocate memory|can't start new thread|[Oo]ut of memory"
)
_ADVICE = {
    errno.ENOSPC: "Free some space; nothing that was finished is lost.",
    errno.EDQUOT: "Free some space; nothing that was finished is lost.",
    errno.EMFILE: "Allow more open files (ulimit -n 1024), and give the command again.",
}
_REPORT = "This is a fault of ilk. Please report it with what the same command says with --debug."
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
    from ilk.cli.commands import options_of
    from ilk.cli.spoken import SPOKEN_FOR, Spoken

    arguments = sys.argv[1:] if arguments is None else arguments
    names = {word for before, word in zip(["", *arguments], arguments, strict=False) if before != "--set"}
    token = SPOKEN_FOR.set(Spoken(options_of(arguments), names))
    try:
        return _run(arguments)
    finally:
        SPOKEN_FOR.reset(token)


def _run(arguments: list[str]) -> int:
    """Run the command and return its exit code, however it ends."""
    from ilk.cli.commands import parser

    debug = "--debug" in arguments
    try:
        with _ending():
            code = parser()(arguments, standalone_mode=False, prog_name="ilk")
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
        return _interrupted(arguments) if type(error).__name__ == "Abort" else _explain(error, arguments)
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
        + (
            " The same command goes on from here."
            if arguments[:1] in (["cluster"], ["bench"], ["export"], ["update"])
            else ""
        )
    )
    return code


def _explain(error: Exception, arguments: list[str]) -> int:
    """Print one line for `error`, with the command that helps where one is known, and return its exit code."""
    from ilk import disk
    from ilk.cli import mistakes
    from ilk.cli.spoken import spoken
    from ilk.cli.words import printable
    from ilk.errors import IlkError, Interrupted

    if hasattr(error, "exit_code"):  # typer's own: wrong usage, or a plain exit
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
        elif hasattr(error, "format_message"):
            _say(f"ilk: {printable(mistakes.usage(error, arguments))}")
        return int(error.exit_code)
    if short := _scarce(error):
        _say(f"ilk: {short}")
    elif isinstance(error, IlkError):
        _say(f"ilk: {printable(mistakes.answer(spoken(str(error)), arguments, error))}")
        return _INTERRUPTED if isinstance(error, Interrupted) else 1
    elif isinstance(error, RuntimeError) and "home directory" in str(error):
        _say("ilk: there is no home folder that ~ could stand for. Give the whole path, or set HOME.")
    elif isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        advice = _ADVICE.get(error.errno or 0, "Nothing that was finished is lost.")
        _say(f"ilk: {printable(f'{where}{error.strerror or error}')}. {advice}")
    else:
        _say(f"ilk: unexpected: {printable(disk.one_line(error)) or 'a fault without a word'}. {_REPORT}")
    return 1


def _scarce(error: BaseException | None) -> str | None:
    """Say what the machine, or a limit of the shell, has too little of, where `error` comes from that."""
    from ilk.errors import IlkError, MissingDependency

    if isinstance(error, IlkError):  # has words of its own, but for libraries that do not load
        error = error.__context__ if isinstance(error, MissingDependency) else None
    if error is None:
        return None
    said = f"{error}" if isinstance(error, ImportError | RuntimeError | OSError) else ""
    if getattr(error, "errno", None) == errno.EMFILE or re.search(r"Too many open files|file: Error 24\b", said):
        return f"too many open files for the limit of this shell. {_ADVICE[errno.EMFILE]}"
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or _MEMORY.search(said):
        limit = _address_space()
        if limit is None:
            return "out of memory. Close other programs, or group fewer images at once."
        return (
            f"out of memory: this shell allows {limit / 2**30:.1f} GiB of address space (ulimit -v), and the libraries "
            "that ilk loads take some 5. Allow more, best ulimit -v unlimited."
        )
    return _scarce(error.__context__)


def _address_space() -> int | None:
    """Return the limit of this process's address space in bytes; None where there is none."""
    try:
        import resource
    except ImportError:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _say(text: str) -> None:
    from ilk.cli import colours

    with contextlib.suppress(BrokenPipeError):
        colours.say(text)
