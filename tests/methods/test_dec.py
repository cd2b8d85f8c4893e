"""DEC: soft assignments are drawn to a target made from all images, round by round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from ilk import compute, losses, metrics
from ilk.data import ArrayImages
from ilk.errors import Interrupted
from ilk.methods import DEC
from ilk.methods.baselines.dec_steps import CenteredAutoencoder, Embedding, Pretraining
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.reporter import Reporter
from ilk.methods.training import Plan, run
from ilk.runs import checked_figure

DATA = load_digits()
IMAGES, TRUTH = np.round(DATA.images * 255 / 16).astype(np.uint8), DATA.target
DENSE = {"hidden_dims": [128, 256], "latent_dim": 10, "batch_size": 64, "epochs": 10, "n_init": 5}


def accuracy(settings: dict[str, Any]) -> float:
    return metrics.accuracy(TRUTH, DEC(10, settings=settings).fit(IMAGES).labels_)


def test_moving_codes_and_centres_is_worth_more_than_kmeans_on_the_codes() -> None:
    settings = {**DENSE, "rounds": 12, "interval": 40, "cluster_lr": 0.1}
    fixed = accuracy({**settings, "cluster_lr": 0.0, "rounds": 1, "tolerance": 0.0})
    assert accuracy(settings) > fixed + 0.015


def trained(epochs: int = 1, rounds: int = 3, **changed: Any) -> Embedding:
    """The second training of DEC after some rounds of a small one."""
    short = {"interval": 5, "hidden_dims": (16,), "latent_dim": 4, "batch_size": 32}
    settings = DEC.presets["default"].replace(**{**short, "epochs": epochs, "rounds": rounds, **changed})
    with compute.seeded(0):
        net = CenteredAutoencoder((1, 8, 8), settings.hidden_dims, settings.latent_dim, 10)
    dataset = PixelDataset(ArrayImages(IMAGES[:200]), torch.device("cpu"), torch.zeros(1))
    first = Pretraining(net, dataset, settings, "squared", False, 0)
    plans = [Plan("train", epochs, lambda: first), Plan("train", rounds, lambda: Embedding(first, 10, 0))]
    done = run(plans, Reporter([], None), identity=settings.as_dict(), n_images=200)
    made = done.stages[-1]
    assert isinstance(made, Embedding)
    return made


def soft(made: Embedding) -> torch.Tensor:
    with torch.no_grad():
        codes = made.network.code(made.dataset.read(torch.arange(200)))
        return losses.student_t(codes.half().float(), made.network.centers.detach())


def test_the_target_is_made_from_all_images() -> None:
    before = soft(trained(rounds=1, tolerance=0.0, cluster_lr=0.0))
    made = trained(rounds=1, tolerance=0.0)
    torch.testing.assert_close(made.target, losses.target_distribution(before), rtol=1e-3, atol=1e-5)
    assert made.target.shape == (200, 10)
    assert not torch.allclose(made.target[:32], losses.target_distribution(before[:32]), rtol=1e-3)  # not from a batch


def test_assignments_are_made_once_between_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    codes = Embedding._assignments
    monkeypatch.setattr(Embedding, "_assignments", lambda self: (passes.append(1), codes(self))[1])
    made = trained(tolerance=0.0)
    assert len(passes) == 4  # before the first round, and after each
    torch.testing.assert_close(torch.from_numpy(made.memory["labels"]), soft(made).argmax(1))


def test_rounds_end_when_hardly_any_image_changes_its_group() -> None:
    assert trained(tolerance=0.0).epochs == 3
    assert trained(tolerance=1.0).epochs == 1
    model = DEC(3, preset="tiny", settings={"tolerance": 1.0, "rounds": 9}).fit(IMAGES[:60])
    records = [record for record in model.history_ if "epoch" in record]
    assert [record["phase"] for record in records] == ["autoencoder", "autoencoder", "clustering"]
    assert records[-1]["epoch"] == records[-1]["epochs"] == 3


def test_a_fit_that_ended_early_is_gone_on_with_as_ended() -> None:
    kept: dict[str, Any] = {}

    def stop(record: dict[str, Any], state: Any) -> bool:
        if record.get("phase") == "clustering":
            kept.update(state())
        return bool(kept)

    options: dict[str, Any] = {"preset": "tiny", "settings": {"tolerance": 1.0, "rounds": 9}}
    with pytest.raises(Interrupted):
        DEC(3, **options).fit(IMAGES[:60], on_epoch=stop)
    again = DEC(3, **options).fit(IMAGES[:60], resume=kept)
    assert np.array_equal(again.labels_, DEC(3, **options).fit(IMAGES[:60]).labels_)


def test_the_decoder_learns_on_only_with_its_error_in_the_loss() -> None:
    for reconstruction, moves in ((0.0, False), (1.0, True)):
        before = trained(reconstruction=reconstruction, cluster_lr=0.0).network.decoder
        after = trained(reconstruction=reconstruction).network.decoder
        pairs = zip(before.parameters(), after.parameters(), strict=True)
        assert all(torch.equal(p, q) for p, q in pairs) is not moves


def test_training_sharpens() -> None:
    settings = {**DENSE, "rounds": 4, "interval": 40, "cluster_lr": 0.1}
    model = DEC(10, settings=settings).fit(IMAGES[:600])
    sure = [record["confidence"] for record in model.history_ if record.get("phase") == "clustering"]
    assert sure[-1] > sure[0]
    figure = checked_figure(model.figures()[0])
    start, end = figure["series"].values()
    assert start.sum() == pytest.approx(1)
    assert (end * figure["x"]).sum() > (start * figure["x"]).sum()
