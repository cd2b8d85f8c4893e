"""Settings: what a field says is what is checked, shown and kept; names of before work and say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from ilk import methods
from ilk.errors import ArgumentError
from ilk.methods.settings import Renamed, Settings, choice, flag, free, number, pair, whole, wholes

ALL = [pytest.param(getattr(methods, name), id=name) for name in methods.__all__]


@dataclass(frozen=True, kw_only=True)
class Some(Settings):
    renamed: ClassVar = {"old": "steps", "decay": Renamed("schedule", lambda v: "cosine" if v else "constant")}

    steps: int = whole(3, "how many", 1, 9)
    lr: float = number(0.1, "how fast", 0, 1)
    on: bool = flag(False, "whether")
    schedule: str = choice("cosine", "which", ("cosine", "constant"), auto=True)
    zoom: tuple[float, float] = pair((1.0, 1.0), "from, to", 4)
    dims: tuple[int, ...] = wholes((4, 5), "widths")
    size: int | None = whole(None, "side", none="by the images")
    thing: Any = free(None, "anything")

    def check(self) -> None:
        if self.steps > 5 and self.on:
            raise ArgumentError("steps and on do not go together")


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("steps", np.int64(4), 4),
        ("lr", 1, 1.0),
        ("lr", np.float32(0.5), 0.5),
        ("on", True, True),
        ("schedule", "auto", "auto"),
        ("zoom", [0.5, 2], (0.5, 2)),
        ("dims", [7], (7,)),
        ("size", None, None),
        ("size", 32, 32),
        ("thing", {"a": 1}, {"a": 1}),
    ],
)
def test_what_is_allowed_is_taken_as_plain_python(key: str, value: Any, kept: Any) -> None:
    found = Some().replace(**{key: value})[key]
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("steps", 0, "from|at least 1"),
        ("steps", 10, "from 1 to 9"),
        ("steps", 2.0, "whole number"),
        ("steps", True, "whole number"),
        ("steps", None, "whole number"),
        ("lr", float("nan"), "from 0 to 1"),
        ("lr", "fast", "from 0 to 1"),
        ("lr", True, "from 0 to 1"),
        ("on", 1, "true or false"),
        ("schedule", "cosin", "Did you mean 'cosine'"),
        ("schedule", ["cosine"], "choose"),
        ("zoom", [1], "two numbers"),
        ("zoom", [0, 5], "from 0 to 4"),
        ("dims", [], "list of whole numbers"),
        ("dims", 5, "list of whole numbers"),
        ("dims", [0], "at least 1"),
        ("size", 0, "at least 1"),
        ("size", "auto", "whole number"),
    ],
)
def test_what_is_not_is_refused_by_name(key: str, value: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=f"{key}=.*({words})"):
        Some().replace(**{key: value})


def test_settings_read_like_a_mapping_and_come_back() -> None:
    some = Some(dims=[1, 2], extra={"pool": "gap"})
    assert dict(some)["dims"] == (1, 2)
    assert list(some) == [*Some.options(), "pool"]
    kept = some.as_dict()
    assert kept["dims"] == [1, 2]
    assert kept["pool"] == "gap"
    assert Some.from_dict({**kept, "gone": 1}) == Some(dims=(1, 2))
    assert Some.from_dict({"old": 7, "decay": False}) == Some(steps=7, schedule="constant")
    with pytest.raises(AttributeError):
        some.steps = 4  # type: ignore[misc]


@pytest.mark.parametrize("cls", ALL)
def test_every_setting_says_what_it_is(cls: Any) -> None:
    for key, option in next(iter(cls.presets.values())).options().items():
        assert len(option.what.split()) >= 2, key
        assert not option.what.endswith("."), key
        assert option.kind == "free" or option.range(), key
        assert option.kind not in ("whole", "number") or option.low is not None, key


@pytest.mark.parametrize("cls", ALL)
def test_names_of_before_work_and_name_the_new_one(cls: Any) -> None:
    start = next(iter(cls.presets.values()))
    for old in type(start).renamed:
        new, _ = start.translated(old, 1)
        assert new in start, (old, new)
        assert old not in start, old
    for old, new in cls.renamed_presets.items():
        with pytest.warns(DeprecationWarning, match=f"preset={old} is now preset={new}"):
            model = cls.from_options({"preset": old})
        assert model.preset == new


def test_one_line_says_it_and_the_value_counts() -> None:
    with pytest.warns(DeprecationWarning, match="is now") as caught:
        model = methods.DEC.from_options({"decay": False, "alpha": 2.0})
    lines = [str(one.message) for one in caught]
    assert [line.partition(";")[0] for line in lines] == [
        "decay=False is now lr_schedule=constant",
        "alpha=2.0 is now t_dof=2.0",
    ]
    assert model.settings == {"lr_schedule": "constant", "t_dof": 2.0}
    assert model.resolved().lr_schedule == "constant"  # nothing more is said


def test_presets_are_immutable_and_arguments_stand_over_settings() -> None:
    model = methods.VAE(3, preset="tiny", settings={"epochs": 5, "lr": 0.5}, epochs=7)
    assert (model.resolved().epochs, model.resolved().lr) == (7, 0.5)
    assert methods.VAE.presets["tiny"].epochs == 4


@pytest.mark.parametrize("short", methods.REGISTRY)
def test_every_name_that_is_printed_works_in_python(short: str) -> None:
    import ilk

    name = methods.short_names()[short]
    assert getattr(ilk, name) is getattr(methods, name) is methods.find(short) is methods.find(name)
    assert name in ilk.__all__
