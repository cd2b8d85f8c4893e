"""What a machine had no time or memory for is unreadable now, and tried again the next time."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ilk import jobs
from ilk.files.render import Decoded

REASON = "decoding took longer than 10 s"


def test_a_reason_that_may_pass_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    place = tmp_path / "set"
    place.mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(place / f"{i:02d}.png")
    (place / "again.tif").write_bytes(b"")
    Image.fromarray(rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)).save(place / "slow.tif")
    (place / "again.tif").write_bytes((place / "slow.tif").read_bytes())  # the same content twice

    def reasons(name: str) -> dict[str, str | None]:
        options = {"n_clusters": 2, "encoder": "pixels", "preset": "tiny", "cache": tmp_path / "cache"}
        table = jobs.cluster(place, tmp_path / name, options=options, names=False).images()
        return {path: why for path, why in zip(table["path"], table["reason"], strict=True) if why}

    class Slow:
        def decode(self, *_: object) -> Decoded:
            return Decoded(None, 16, 16, REASON)

        def probe(self, _: bytes) -> None:
            return None

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["ilk.files.decode"], "shared_pool", Slow)
        assert reasons("busy") == {"again.tif": REASON, "slow.tif": REASON}
    assert reasons("quiet") == {}
