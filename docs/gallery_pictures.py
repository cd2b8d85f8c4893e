"""Make the pictures of the gallery in docs/pictures, with the Chromium that is installed.

    python docs/gallery_pictures.py RUN         a run of photos that may be shown; it is copied, and stays as it is

Those in the docs are of 500 photos of alexeygrigorev/clothing-dataset-small (CC0 1.0), grouped by
``ilk cluster photos -k 10 -o RUN``. Groups that nobody named are called by the words they look like.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import Browser, browser

import ilk
from ilk.gallery import serving

PICTURES = Path(__file__).parent / "pictures"
WINDOW, PHONE = (1280, 800), (420, 800)


def named(folder: Path) -> None:
    """Call the groups by the words that they look like."""
    run, used = ilk.load_run(folder), set()
    for group in run.clusters():
        words = [one["word"] for one in group.get("looks_like") or []]
        if words and words[0] not in used and group["name"] == f"group {group['id']}":
            run.corrections.rename(group["id"], words[0])
            used.add(words[0])


def take(page: Browser, folder: Path, name: str) -> None:
    """Wait until every picture in the window is there, and save the window as WebP."""
    page.wait("[...document.images].every((image) => !image.hasAttribute('src') || image.complete)")
    page.wait(
        "[...document.querySelectorAll('.cell:not([hidden])')].every((cell) => cell.classList.contains('loaded'))"
    )
    data = page.look(folder / "window.png").read_bytes()
    Image.open(BytesIO(data)).convert("RGB").save(PICTURES / f"gallery-{name}.webp", quality=80, method=6)


def opened(page: Browser, address: str, theme: str, size: tuple[int, int]) -> None:
    """Open the page in a theme and a window of a size."""
    width, height = size
    page.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    page.visit("about:blank")
    page.visit(address)
    page.wait("document.body?.dataset.ready === 'true' && document.querySelectorAll('.cell.loaded').length > 3")


def main(run: Path) -> None:
    """Make the three pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy = shutil.copytree(run, folder / "photos-run")
        named(copy)
        with serving(copy) as served, browser() as page:
            opened(page, served.address, "light", WINDOW)
            page.wait("document.querySelectorAll('#right .neighbour').length > 3")
            page.run("document.getElementById('grid').focus()")
            for _ in range(2):
                page.key("ArrowRight")
            for _ in range(3):
                page.key("ArrowRight", shift=True)
            page.wait("document.querySelectorAll('#bar .chip').length > 2")
            page.wait("document.querySelectorAll('#right .neighbour').length > 3")
            take(page, folder, "light")
            page.key("Escape")
            opened(page, served.address, "dark", WINDOW)
            page.key(" ")
            page.wait("document.querySelector('#viewer .area img').classList.contains('sharp')")
            page.wait("document.querySelectorAll('#right .neighbour').length > 3")
            take(page, folder, "dark")
            opened(page, served.address, "light", PHONE)
            take(page, folder, "phone")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
