"""As another user: without a home, without an entry among the users, with nothing of its own to write to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from trial import write_images

USER = "31337"
# may read everything, so that it finds an interpreter in somebody's home, and write nothing that is not its own
BECOME = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
BECOME += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]

METHOD = "ilk.TransferClustering(n_clusters=3, encoder='pixels', cache='/none/cache').fit('photos')"
PYTHON = f"import ilk; model = {METHOD}; print(model.n_clusters_, *model.notes_)"


@pytest.fixture
def as_another(tmp_path: Path) -> tuple[Path, list[str], dict[str, str]]:
    """A folder that everyone may write, how to become a user without a home, and its environment."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user")
    if subprocess.run([*BECOME, sys.executable, "-c", "import ilk"], capture_output=True, check=False).returncode:
        pytest.skip("another user cannot use this interpreter here")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o001 == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    write_images(work / "photos", 60)
    kept = {name: value for name, value in os.environ.items() if name not in _HOMES and not name.startswith("PYTEST")}
    return work, BECOME, {**kept, "TMPDIR": str(work)}


_HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "USER", "LOGNAME")


# every process without a folder of its own compiles UMAP anew: half a minute
@pytest.mark.parametrize("home", [None, pytest.param("/nonexistent", marks=pytest.mark.slow)])
def test_the_default_method(as_another: tuple[Path, list[str], dict[str, str]], home: str | None) -> None:
    work, become, env = as_another
    code = "import sys; from ilk.cli import main; sys.exit(main())"
    ilk = [*become, sys.executable, "-c", code]
    env |= {} if home is None else {"HOME": home}
    options = {"cwd": work, "env": env, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([*ilk, "cluster", "photos", "-k", "3", "--encoder", "pixels", "-o", "run"], **options)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "60 images in 3 groups" in done.stdout
    assert "umap-learn" not in done.stdout + done.stderr
    assert ("no home folder" in done.stderr) == (home is None)
    assert ("cannot be made (Permission denied)" in done.stdout) == (home is not None)
    assert (work / "run" / "map.npy").stat().st_uid == int(USER)
    predicted = subprocess.run([*ilk, "predict", "run", "photos", "-o", "table.csv"], **options)
    assert predicted.returncode == 0, predicted.stderr


def test_a_run_of_somebody_else_is_looked_at_and_not_corrected(
    as_another: tuple[Path, list[str], dict[str, str]], finished: Path
) -> None:
    work, become, env = as_another
    shutil.copytree(finished, work / "run")
    (work / "run").chmod(0o755)
    code = "import sys; from ilk.cli import main; sys.exit(main())"
    options = {"cwd": work, "env": env, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run([*become, sys.executable, "-c", code, "correct", "run", "--rename", "0", "x"], **options)
    assert (done.returncode, done.stdout) == (1, "")
    assert "run cannot be written (Permission denied): it can be looked at, not corrected" in done.stderr
    looked = subprocess.run([*become, sys.executable, "-c", code, "correct", "run"], **options)
    assert (looked.returncode, looked.stderr) == (0, "")


def test_from_python(as_another: tuple[Path, list[str], dict[str, str]]) -> None:
    """No command line has given numba a place for its files."""
    work, become, env = as_another
    done = subprocess.run(
        [*become, sys.executable, "-c", PYTHON], cwd=work, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 ")
    assert "cannot be written" in done.stdout
    assert not (work / "~").exists()
