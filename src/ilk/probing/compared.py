"""The networks that are compared: trained, random, supervised; and the pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ilk import compute
from ilk.augment import flip, resized_crop
from ilk.errors import ArgumentError
from ilk.probing.layers import MOST, Looks, kept, layer_names, pooled, pooled_maps, recalibrated
from ilk.probing.linear import Schedule, Trace, train_linear

__all__ = ["Compared", "Seen"]

Ints = npt.NDArray[np.int64]

_BYTES = 4 << 30  # of kept layers; above, the network sees the images anew in every epoch


@dataclass(frozen=True)
class Seen:
    """Images with classes.

    Attributes
    ----------
    views : Views
    rows : (n,) int64
        Which images of `views`.
    classes : (n,) int64
    """

    views: Any
    rows: Ints
    classes: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, which: slice) -> Seen:
        """Return some of them."""
        return Seen(self.views, self.rows[which], self.classes[which])

    def read(self, index: Ints) -> Tensor:
        """Return images (b, c, h, w) from 0 to 1, as they are kept."""
        found: Tensor = self.views.unit(torch.from_numpy(self.rows[index]))
        return found


class Compared:
    """Trains the classifiers of every network.

    Parameters
    ----------
    model
        A fitted DeepCluster: it knows how its network is built and trained.
    parts : {"train": Seen, "test": Seen}
    n_classes : int
    schedule : Schedule
    seed : int
    augment, ten_crop : bool
        See `ilk.probing.probe`.
    notify : callable

    Attributes
    ----------
    layers : list of str
    """

    def __init__(
        self,
        model: Any,
        parts: dict[str, Seen],
        n_classes: int,
        schedule: Schedule,
        seed: int,
        *,
        augment: bool,
        ten_crop: bool,
        notify: Callable[[dict[str, Any]], Any],
    ) -> None:
        self.model = model
        self.train, self.test = parts["train"], parts["test"]
        self.n_classes = n_classes
        self.schedule = schedule
        self.seed = seed
        self.augment = augment
        self.ten_crop = ten_crop
        self.notify = notify
        self.device: torch.device = self.train.views.device
        self.noise = compute.generator(seed, self.device)
        self.layers = layer_names(model.network_)
        side, whole = self.train.views.side, self.train.views.unit(torch.zeros(1, dtype=torch.int64)).shape[-1]
        if ten_crop and whole == side:
            raise ArgumentError(
                "ten crops need images that are kept larger than the network sees them (crop_margin above 1)."
            )
        self.size = max(8, min(256, 256 * 64 * 64 // side**2))

    def all(self, *, supervised: bool, epochs: int) -> dict[str, Any]:
        """Return what a run keeps: the traces of the networks, and those of the pixels.

        `epochs` (at least 1) are those that the supervised network is trained for.
        """
        networks = {"trained": self._probed("trained", self.model.network_.eval())}
        fresh = self.model.fresh_network(self.seed + 1)
        networks["random"] = self._probed("random", recalibrated(fresh, self._plain()))
        if supervised:
            net = self.model.supervised_network(
                self.train.views, self.train.rows, self.train.classes, self.n_classes, epochs, self.seed
            )
            networks["supervised"] = self._probed("supervised", net.eval())
        pixels = self._traced("pixels", lambda images: iter([pooled(images, MOST)]))[0]
        record = {name: [trace.as_record() for trace in traces] for name, traces in networks.items()}
        return {"networks": record, "pixels": pixels.as_record()}

    def _probed(self, name: str, net: Any) -> list[Trace]:
        return self._traced(name, lambda images: pooled_maps(net, images))

    def _traced(self, name: str, looks: Looks) -> list[Trace]:
        begin = time.perf_counter()
        self.notify({"event": "stage", "stage": f"probe {name}", "begin": True})
        traces = train_linear(
            self._training(looks), self._testing(looks), self.n_classes, self.schedule, self.seed, self.device
        )
        self.notify({"event": "stage", "stage": f"probe {name}", "seconds": round(time.perf_counter() - begin, 3)})
        return traces

    # -- passes over the images ----------------------------------------------------------------------------------------

    def _plain(self) -> Iterator[Tensor]:
        for start in range(0, len(self.train), self.size):
            yield self._centre(self.train.read(np.arange(start, min(start + self.size, len(self.train)))), self.train)

    def _centre(self, images: Tensor, seen: Seen) -> Tensor:
        found: Tensor = seen.views.normalized(seen.views.center(images))
        return found

    def _training(self, looks: Looks) -> Callable[[int, torch.Generator], Iterator[tuple[list[Tensor], Tensor]]]:
        classes = torch.from_numpy(self.train.classes)
        cached = None if self.augment else self._kept(looks, self.train)

        def batches(_: int, draws: torch.Generator) -> Iterator[tuple[list[Tensor], Tensor]]:
            for index in torch.split(torch.randperm(len(self.train), generator=draws), self.schedule.batch_size):
                if cached is not None:
                    yield [layer[index] for layer in cached], classes[index]
                    continue
                images = self.train.read(index.numpy())
                images = self._cropped(images) if self.augment else self._centre(images, self.train)
                with torch.no_grad():
                    layers = list(looks(images))
                yield layers, classes[index]

        return batches

    def _cropped(self, images: Tensor) -> Tensor:
        """Return a random crop of every image, in the size of the network, every second one flipped."""
        views, side = self.train.views, self.train.views.side
        share = (side / images.shape[-1]) ** 2
        cut = resized_crop(images, self.noise, scale=(share, share), ratio=(1.0, 1.0), size=side)
        found: Tensor = views.normalized(flip(cut, self.noise))
        return found

    def _testing(self, looks: Looks) -> Callable[[], Iterator[tuple[Sequence[list[Tensor]], Tensor]]]:
        classes = torch.from_numpy(self.test.classes)
        cached = None if self.ten_crop else self._kept(looks, self.test)

        def batches() -> Iterator[tuple[Sequence[list[Tensor]], Tensor]]:
            for start in range(0, len(self.test), self.size):
                index = np.arange(start, min(start + self.size, len(self.test)))
                if cached is not None:
                    yield [[layer[start : start + self.size] for layer in cached]], classes[index]
                    continue
                images = self.test.read(index)
                with torch.no_grad():
                    views = self._ten(images) if self.ten_crop else [self._centre(images, self.test)]
                    yield [list(looks(view)) for view in views], classes[index]

        return batches

    def _ten(self, images: Tensor) -> list[Tensor]:
        """Return four corners and the centre, and their mirror images, each normalised."""
        views, side = self.test.views, self.test.views.side
        far = images.shape[-1] - side
        positions = [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]
        cuts = [images[..., top : top + side, left : left + side] for top, left in positions]
        return [views.normalized(cut) for part in cuts for cut in (part, part.flip(3))]

    def _kept(self, looks: Looks, seen: Seen) -> list[Tensor] | None:
        """Return every layer of all images where there is room for it."""
        with torch.inference_mode():
            one = sum(layer.shape[1] for layer in looks(self._centre(seen.read(np.arange(1)), seen)))
        if 2 * one * len(seen) > _BYTES:
            return None
        return kept(looks, lambda index: self._centre(seen.read(index), seen), len(seen), self.size)
