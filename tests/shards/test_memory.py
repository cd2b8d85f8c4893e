"""Reading all of a run that names shards takes no memory that grows with what they hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ilk import shards
from ilk.data.index import as_names
from ilk.data.kept import Kept
from ilk.data.shards import Shard, Store

N, D, SHARD = 40_000, 1024, 2_500  # 82 MB
CODE = """
import json, sys
from pathlib import Path
import numpy as np
from ilk import shards

def resident():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS"))) / 1024

folder, n = Path(sys.argv[1]), int(sys.argv[2])
rows = shards.read(folder, json.loads((folder / "record.json").read_text()), n).features()
rows[:1000]
before, total = resident(), 0.0
for start in range(0, n, 1000):
    total += float(np.nansum(rows[start : start + 1000], dtype=np.float64))
print(json.dumps([total, resident() - before]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_pages_are_let_go(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store = Store(tmp_path / "cache" / "features" / ("0" * 32), D)
    names, total = [], 0.0
    for _ in range(0, N, SHARD):
        features = rng.integers(0, 8, (SHARD, D)).astype(np.float16)
        total += float(features.sum(dtype=np.float64))
        names += (some := [rng.bytes(16) for _ in range(SHARD)])
        store.add(Shard(some, list(features), [b""] * SHARD, [1] * SHARD, [1] * SHARD, [None] * SHARD))
    record = shards.write(tmp_path, Kept(store, store.find(as_names(names))).naming())
    (tmp_path / "record.json").write_text(json.dumps(record))
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path), str(N)], capture_output=True, text=True, timeout=120
    )
    found, grown = json.loads(done.stdout or "[0, 0]")
    assert found == total, done.stderr
    assert grown < 30  # MiB, of 78
