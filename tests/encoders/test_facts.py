"""What timm knows is asked once: a converted network is loaded again without importing timm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ilk.encoders import pretrained
from ilk.encoders.facts import facts, remembered

NETWORK = "test_vit.r160_in1k"


def test_an_answer_is_asked_for_once(tmp_path: Path) -> None:
    asked = []
    answers = [remembered(tmp_path, ("a", 1), lambda: asked.append(1) or {"x": [1, 2]}) for _ in range(3)]
    assert answers == [{"x": [1, 2]}] * 3
    assert len(asked) == 1
    assert remembered(tmp_path, ("a", 2), lambda: 7) == 7
    assert remembered(None, ("a", 1), lambda: 8) == 8


def test_nothing_is_not_remembered_and_damage_is_asked_anew(tmp_path: Path) -> None:
    assert facts("no such network", tmp_path) is None
    assert not list(tmp_path.rglob("*.json"))
    found = facts(NETWORK, tmp_path)
    (path,) = tmp_path.rglob("*.json")
    for damage in ("{", "[]", json.dumps({"question": ["facts", "another"], "answer": {}})):
        path.write_text(damage, "utf-8")
        assert facts(NETWORK, tmp_path) == found


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way", "utf-8")
    assert facts(NETWORK, tmp_path) == facts(NETWORK)


@pytest.mark.parametrize("settings", [{}, {"pool": "cls"}, {"image_size": 96, "resize": "stretch"}])
def test_the_same_recipe_from_memory(settings: dict[str, object], tmp_path: Path) -> None:
    fresh = pretrained.recipe(NETWORK, settings)
    assert [pretrained.recipe(NETWORK, settings, tmp_path) for _ in range(2)] == [fresh, fresh]


def test_the_second_time_needs_no_timm(tmp_path: Path) -> None:
    pretrained.recipe(NETWORK, {}, tmp_path)
    code = (
        "import sys; from pathlib import Path; sys.modules['timm'] = None\n"
        "from ilk.encoders import pretrained\n"
        f"print(pretrained.recipe({NETWORK!r}, {{}}, Path(sys.argv[1])).pool)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "cls", done.stderr
