"""TEMI: neighbours, weights, teachers and marginals, each on data where its removal shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ilk import compute, metrics
from ilk.errors import Interrupted
from ilk.methods import TEMI
from ilk.methods.inputs.dataset import FeatureDataset
from ilk.methods.temi.estimator import PRESETS, Teaching
from ilk.networks.temi import TEMIHeads, TEMINet

K, EACH, WIDTH = 4, 25, 16
SHORT = {"epochs": 20, "batch_size": 64, "n_heads": 4, "n_neighbors": 15}


def clouds(seed: int, spread: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Four clouds of 25 rows in 16 dimensions, and which is which."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.normal(size=(K, WIDTH)), EACH, 0) + spread * rng.normal(size=(K * EACH, WIDTH))
    return rows.astype(np.float32), np.repeat(np.arange(K), EACH)


def accuracies(**settings: Any) -> list[float]:
    found = []
    for seed in range(3):
        rows, truth = clouds(seed)
        model = TEMI(K, settings={**SHORT, **settings}, random_state=seed).fit(rows)
        found.append(metrics.accuracy(truth, model.labels_))
    return found


def stage_of(rows: np.ndarray, **settings: Any) -> Teaching:
    chosen = PRESETS["default"].replace(**{**SHORT, **settings})
    heads = TEMIHeads(WIDTH, K, chosen.n_heads, hidden=0, bottleneck=1, generator=compute.generator(0))
    dataset = FeatureDataset(rows, torch.device("cpu"))
    made = Teaching(TEMINet(heads, chosen.temperature), dataset, chosen, K, 0)
    made.start()
    made.begin(0)
    return made


@pytest.mark.parametrize(
    "settings", [{}, {"adaptive": True, "keep": "consensus"}, {"hidden_dim": 32, "lr": 0.01}], ids=str
)
def test_clouds_are_found(settings: dict[str, Any]) -> None:
    assert min(accuracies(**settings)) > 0.95


def test_without_neighbours_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def anybody(rows: torch.Tensor, reference: torch.Tensor, count: int, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.randint(len(rows), (len(rows), count), generator=compute.generator(0))
        return index, torch.zeros(index.shape)

    monkeypatch.setattr("ilk.methods.temi.estimator.neighbors", anybody)
    assert max(accuracies()) < 0.8


def test_without_the_marginal_groups_run_together() -> None:
    assert min(accuracies(marginal_momentum=0.999)) < 0.8  # as good as fixed at 1 / k


def test_pairs_that_the_teachers_do_not_believe_in_teach_nothing() -> None:
    rows = np.eye(2, WIDTH, dtype=np.float32).repeat(20, 0)
    gradients = {}
    for weighted in (True, False):
        made = stage_of(rows, weighted=weighted, n_neighbors=3)
        with torch.no_grad():  # teachers that are confident of another group for each kind of row
            made.network.teacher.directions.zero_()
            made.network.teacher.directions[:, 0, 0] = made.network.teacher.directions[:, 1, 1] = 1
            made.network.teacher.lengths.fill_(5.0)
        false_pairs = (torch.arange(20), torch.arange(20, 40))
        made.loss(false_pairs[0], false_pairs).backward()
        gradients[weighted] = float(made.network.student.directions.grad.norm())
    assert gradients[True] < 1e-3 * gradients[False]


def test_a_teacher_follows_its_student_and_has_no_gradient() -> None:
    made = stage_of(clouds(0)[0], momentum=0.75)
    before = made.network.teacher.directions.clone()
    made.update(made.units(0)[0])
    student, teacher = made.network.student.directions, made.network.teacher.directions
    torch.testing.assert_close(teacher, 0.75 * before + 0.25 * student.detach())
    assert not torch.allclose(student, before)
    assert teacher.grad is None


def test_what_is_taught_comes_from_the_teacher() -> None:
    made, other = (stage_of(clouds(0)[0]) for _ in range(2))
    with torch.no_grad():
        other.network.teacher.directions.mul_(-1)
    unit = made.units(0)[0]
    assert not torch.allclose(made.loss(unit[0], unit), other.loss(unit[0], unit))


def test_partners_are_drawn_from_the_neighbours() -> None:
    rows, truth = clouds(0, 0.1)
    made = stage_of(rows, n_neighbors=5)
    pairs = [(int(a), int(b)) for image, partner in made.units(0) for a, b in zip(image, partner, strict=True)]
    nearest = made.memory["nearest"]
    assert all(b in nearest[a][:5] for a, b in pairs)
    assert all(truth[a] == truth[b] and a != b for a, b in pairs)
    assert len(pairs) == made.steps * made.batch_size


def test_lone_images_keep_fewer_neighbours_where_they_adapt() -> None:
    rng = np.random.default_rng(0)
    near = rng.normal(size=WIDTH) + 0.05 * rng.normal(size=(60, WIDTH))
    rows = np.concatenate([near, rng.normal(size=(20, WIDTH))]).astype(np.float32)
    counts = stage_of(rows, n_neighbors=8, adaptive=True).memory["counts"]
    assert counts[:60].mean() > 2 * counts[60:].mean()
    assert counts.min() >= 1


def test_the_head_of_least_loss_counts_or_what_the_better_half_says() -> None:
    rows, _ = clouds(1)
    one = TEMI(K, settings=SHORT).fit(rows)
    (chosen,) = np.flatnonzero(one.network_.chosen)
    assert one.head_losses_[chosen] == min(one.head_losses_)
    half = TEMI(K, settings={**SHORT, "keep": "consensus"}).fit(rows)
    taken, left = (np.array(half.head_losses_)[half.network_.chosen.numpy() == side] for side in (True, False))
    assert len(taken) == 2
    assert taken.max() <= left.min()
    with torch.no_grad():
        read = torch.nn.functional.normalize(torch.from_numpy(rows), dim=1) - half.mean_
        heads = half.network_.taught(read)[:, half.network_.chosen]
    orders = half.network_.order[half.network_.chosen]
    mean = torch.stack([heads[:, i, order] for i, order in enumerate(orders)]).mean(0)
    np.testing.assert_allclose(half.probabilities_, mean, atol=1e-5)


@pytest.mark.parametrize("at", [5, 33])
def test_left_within_an_epoch_and_gone_on_with_to_the_bit(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ilk.methods.training.loop.SHOW_EVERY", 0.0)
    monkeypatch.setattr("ilk.methods.training.loop.LEAVE_EVERY", 0.0)
    rows, kept, seen = clouds(0)[0], dict[str, Any](), list[int]()

    def stop(record: dict[str, Any], state: Any) -> bool:
        if "done" in record and record["stage"] == "train":
            seen.append(record["done"])
            if len(seen) == at:
                kept.update(state())
        return bool(kept)

    options: dict[str, Any] = {"preset": "tiny", "settings": {"adaptive": True, "keep": "consensus"}}
    whole = TEMI(K, **options).fit(rows)
    with pytest.raises(Interrupted, match="within epoch"):
        TEMI(K, **options).fit(rows, on_epoch=stop)
    again = TEMI(K, **options).fit(rows, resume=kept)
    assert np.array_equal(again.probabilities_, whole.probabilities_)
    assert again.head_losses_ == whole.head_losses_
    again_, whole_ = ([r for r in model.history_ if "epoch" in r] for model in (again, whole))
    assert again_ == whole_


def test_rates_follow_from_the_number_of_steps_unless_they_are_given() -> None:
    rows = clouds(0)[0]
    made = stage_of(rows)
    assert (made.total, made.lr, made.momentum) == (400, 4 / 400, 1 - 80 / 400)
    assert stage_of(rows, lr=1e-3, momentum=0.99).momentum == 0.99
    paper = PRESETS["paper"]
    assert (paper.lr, paper.lr_batch, paper.momentum, paper.beta, paper.n_neighbors) == (1e-4, 256, 0.996, 0.6, 50)
    assert stage_of(rows, lr=1e-3, lr_batch=32).lr == pytest.approx(2e-3)  # batches of 64
