"""A quick start: what can be refused is refused before anything heavy is loaded; kernels are kept between processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ilk import kernels, methods
from ilk.errors import ArgumentError
from ilk.methods import names

REFUSED = """
import sys
sys.modules["torch"] = None  # importing it raises
from ilk.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such-folder"], "no-such-folder"),
        (["digits", "-k", "x"], "whole number"),
        (["digits", "--labels", "nope.csv"], "no such file"),
        (["digits", "--set", "presset=kmeans"], "preset"),
        (["digits", "-m", "transfr"], "transfer"),
    ],
)
def test_wrong_words_are_refused_without_torch(arguments: list[str], words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, "cluster", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert words in done.stderr
    assert "torch" not in done.stderr


def test_the_names_known_without_torch_are_those_of_the_classes() -> None:
    """To make the file anew: write `described` of every class."""
    kept = json.loads(names.FILE.read_text("utf-8"))
    assert kept == {name: names.described(getattr(methods, name)) for name in methods.__all__}


def test_kept_kernels_give_the_same_layout(tmp_path: Path) -> None:
    """To the bit, in processes of their own: without kept kernels, as they are made, and as they are read."""
    code = (
        "import sys, numpy as np, torch; from pathlib import Path; from ilk import kernels, layout\n"
        "if len(sys.argv) > 1: kernels.keep(Path(sys.argv[1]))\n"
        "x = np.random.default_rng(0).normal(size=(200, 6)).astype('f4')\n"
        "graph = layout.neighbor_graph(torch.from_numpy(x), 15)\n"
        "print(layout.umap_embedding(x, graph, n_components=3, epochs=30).tobytes().hex())"
    )
    found = []
    for where in ([], [str(tmp_path / "kernels")], [str(tmp_path / "kernels")]):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, *where], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1] == found[2]
    assert any((tmp_path / "kernels").rglob("*.nbc"))


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    """Numba keeps an index that is unpickled: what others could have put there is never read."""
    ours = tmp_path / "ours"
    assert kernels.private_folder(ours) == ours
    ours.chmod(0o777)
    with pytest.raises(ArgumentError, match="others can write"):
        kernels.private_folder(ours)
    below = ours / "below"
    below.mkdir(mode=0o700)
    with pytest.raises(ArgumentError, match="others can write"):
        kernels.private_folder(below)
    assert kernels.first_private([ours, tmp_path / "other"]) == tmp_path / "other"
