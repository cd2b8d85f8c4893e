"""No message of the library reaches the command line with names of Python in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import ilk
from ilk.cli.spoken import SPOKEN_FOR, Spoken, settings, spoken

ROOT = Path(ilk.__file__).parent
# what only code of the user's own can meet: calls of functions with arrays, figures of a method, a notebook
PYTHON = re.compile(r"(vectors|augment|losses|networks|metrics|gallery|runs/figures|runs/table|showing|train/state)\b")
PYTHON_ONLY = {
    "cls=…: give a class derived from", "settings must be a mapping", "is not an ilk estimator",
    "must be one of … or an object",
    "fit_predict gave shape", "pass the part you want", "give it where it is opened", "stack them into one uint8",
    "cannot open … as images", "cannot be a source", "features are a file or an array", "the model is of the class",
    "in Python", "cannot be written to", "size=…; give (height, width)", "x.astype", "ilk.load_run", "SimCLR.save",
    "no such run of", "returned shape", "module '", "margin=…", "numba keeps", "to_pandas", "layout=… and mode=",
    "crop_pct=…", "criteria=…", "seed=…: must be an integer", "figure …",
}  # fmt: skip
NAMES = "DeepCluster|SimCLR|EfficientNet|ImageNet|ImageClusterer|UserWarning"  # as the papers write them
BARE = {
    "a class": re.compile(rf"\b(?!(?:{NAMES})\b)[A-Z][a-z]+(?:[A-Z][a-z]+)+\b"),
    "an exception": re.compile(r"\b\w+(?:Error|Exception)\b"),
    "a constant": re.compile(r"(?<![\w.'])(None|True|False)(?![\w'])(?! of)(?!:)"),
    "an argument": re.compile(r"(?<!--set )(?<![\w/.=-])[a-z]+_[a-z_]+="),
    "a call": re.compile(r"\bilk\.\w+\("),
}  # fmt: skip


def said(node: ast.AST) -> str:
    """The text of a message, with … for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(said(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "'…'" if node.conversion == ord("r") else "…"
    if isinstance(node, ast.BinOp):
        return said(node.left) + said(node.right)
    return ""


def messages() -> Iterator[tuple[str, str]]:
    """Every message of an error that ilk raises, with where it is."""
    for path in sorted(ROOT.rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        if PYTHON.match(where):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                kind = getattr(node.exc.func, "id", "")
                if kind not in ("AttributeError", "TypeError", "ValueError", "KeyError"):
                    yield f"{where}:{node.lineno}", said(node.exc.args[0])


def test_no_message_has_names_of_python_in_it() -> None:
    found = list(messages())
    assert len(found) > 300
    wrong = []
    for where, text in found:
        if any(words in text.replace("'…'", "…") for words in PYTHON_ONLY):
            continue
        answer = spoken(text)
        wrong += [f"{where}: {kind}: {answer}" for kind, bare in BARE.items() if bare.search(answer)]
    assert not wrong, "\n".join(wrong)


def test_an_argument_is_the_option_of_the_command_that_runs() -> None:
    token = SPOKEN_FOR.set(Spoken({"--threshold", "--nearest"}))
    assert spoken("threshold=7: give a number. n_neighbors=0") == "--threshold 7: give a number. --nearest 0"
    SPOKEN_FOR.reset(token)
    token = SPOKEN_FOR.set(Spoken({"-k", "--set"}, {"k_max=3.zip"}))
    assert spoken("threshold=7: give a number") == "--set threshold=7: give a number"
    assert spoken("there is no k_max=3.zip") == "there is no k_max=3.zip"  # a file that was typed
    SPOKEN_FOR.reset(token)


def test_settings_are_known_without_torch() -> None:
    assert {"preset", "reducer", "epochs", "image_size", "range"} <= settings()
    assert "nonsense" not in settings()


def test_exceptions_and_numbers_of_errors_are_left_out() -> None:
    assert spoken("it is damaged (KeyError); get it again") == "it is damaged; get it again"
    assert spoken("[Errno 2] No such file or directory: 'x'") == "No such file or directory: 'x'"
    assert spoken("ValueError: too short") == "too short"
    assert spoken("give the features too (ilk.open_images(X, features=…)).") == "give the features too."
    assert spoken("None of the 5 files could be read") == "None of the 5 files could be read"
