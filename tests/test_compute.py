import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from ilk import compute
from ilk.errors import ArgumentError


def test_device_by_name():
    assert compute.device("cpu") == torch.device("cpu")
    assert compute.device(torch.device("cpu")) == torch.device("cpu")
    assert compute.device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_device_takes_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert compute.device() == torch.device("cuda")
    assert compute.device("cuda:1") == torch.device("cuda:1")
    assert compute.device("cpu") == torch.device("cpu")
    with pytest.raises(ArgumentError, match=r"only 2 GPU.*'cuda:1'"):
        compute.device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cud", "", "cpu:0", "cuda:x", "cuda:-1", "auto:1", "mps"])
def test_unknown_device(name):
    with pytest.raises(ArgumentError, match="is unknown; allowed: 'auto', 'cpu', 'cuda'"):
        compute.device(name)


def test_device_that_is_not_here(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match="no CUDA GPU is usable here; allowed: 'auto' or 'cpu'"):
        compute.device("cuda")


def test_generator():
    a, b, c = (torch.rand(3, generator=compute.generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "0", None, True])
def test_odd_seeds(seed):
    with pytest.raises(ArgumentError, match="seed="):
        compute.generator(seed)
    with pytest.raises(ArgumentError, match="seed="), compute.seeded(seed):
        pass


def draws():
    return float(torch.rand(())), float(np.random.rand()), random.random()  # noqa: NPY002


@pytest.mark.parametrize("seed", [0, 7, 2**40])
def test_seeded_repeats_inside_and_leaves_no_trace(seed):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    with compute.seeded(seed):
        first = draws()
    with compute.seeded(seed):
        assert draws() == first
    with pytest.raises(KeyError), compute.seeded(seed):
        {}["an error inside"]
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]


def test_alone_everything_is_the_identity():
    tensor = torch.arange(3.0)
    assert (compute.rank(), compute.world_size()) == (0, 1)
    assert compute.all_sum(tensor) is compute.all_gather(tensor) is compute.broadcast(tensor) is tensor
    layer = nn.Linear(2, 1)
    compute.average_gradients(layer.parameters())
    assert layer.weight.grad is None
    assert compute.threads() == torch.get_num_threads()


COMPANY = """
import sys, torch, warnings
from torch import distributed, nn
from ilk import compute
rank = int(sys.argv[1])
store = distributed.FileStore(sys.argv[2], 2)
distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
assert (compute.rank(), compute.world_size()) == (rank, 2)
mine = torch.tensor([1.0, 2.0]) * (rank + 1)
assert compute.all_sum(mine).tolist() == [3.0, 6.0]
assert compute.broadcast(mine).tolist() == [1.0, 2.0] and compute.broadcast(mine, 1).tolist() == [2.0, 4.0]
assert mine.tolist() == [rank + 1.0, 2 * rank + 2.0]
rows = torch.full((rank + 1, 2), float(rank))
assert compute.all_gather(rows).tolist() == [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]
assert compute.all_gather(rows[:0] if rank else rows).tolist() == [[0.0, 0.0]]
a, b, frozen = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1), False)
a.grad = torch.full((2, 2), 1.0 + rank)
if rank:
    b.grad = torch.tensor([2.0, 4.0, 6.0])
compute.average_gradients(iter([a, b, frozen]))
assert a.grad.tolist() == [[1.5, 1.5]] * 2 and b.grad.tolist() == [1.0, 2.0, 3.0] and frozen.grad is None
distributed.destroy_process_group()
"""


def test_in_company_of_two(tmp_path):
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", COMPANY]
    pair = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "store")], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    for process in pair:
        _, problems = process.communicate(timeout=60)
        assert process.returncode == 0, problems


KEEPING = """
import ctypes, resource, sys
from ilk import compute
kept = sys.argv[1] == "keep" and compute.keep_freed()
c = ctypes.CDLL(None)
c.malloc.restype, c.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
c.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = resident()
blocks = [c.malloc(30 << 20) for _ in range(4)]
for block in blocks:
    c.memset(block, 1, 30 << 20)
for block in blocks:
    c.free(block)
idle = resident() - before
compute.free_memory()
print(kept, idle >> 20, (resident() - before) >> 20)
"""


@pytest.mark.skipif(compute._glibc() is None, reason="another C library")
def test_memory_that_a_step_frees_serves_the_next():
    unset = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
    environment = {name: value for name, value in os.environ.items() if name not in unset}

    def found(word):
        command = [sys.executable, "-c", KEEPING, word]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        kept, idle, left = done.stdout.split()
        return kept, int(idle), int(left)  # MiB

    (kept, idle, left), (_, by_default, _) = found("keep"), found("default")
    assert kept == "True"
    assert by_default < 20 < 100 < idle
    assert left < 20  # free_memory tells what others could have, so idle memory goes back first
