"""How well the groups are set apart: the silhouette of every image, and which groups are alike."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.sparse import csr_matrix
from scipy.spatial.distance import squareform

from ilk.errors import RunError
from ilk.files.large import release
from ilk.report.facts import NOISE, Facts, Group
from ilk.report.marks import LIGHT, Theme, framed, labelled
from ilk.report.words import count, counted, share
from ilk.runs import Run

MAX_BARS = 40
MAX_CENTRES = 60
MAX_VALUES = 150_000_000  # of features that are read for the centres: 100,000 × 1,280 whole, more by a sample
STEP_BYTES = 16 << 20
PROFILE = 120  # points of the outline of one group

Floats = npt.NDArray[np.float64]


def draw_silhouettes(facts: Facts, theme: Theme = LIGHT) -> Figure | None:
    """Return the sorted silhouettes of the images of each group, one block per group; None where none is known.

    The heights of the blocks follow the sizes of the groups; each is drawn from 120 quantiles, so that 100,000 images
    cost as much as 1,000.
    """
    own = [(g, np.sort(_known(facts.silhouette[g.members]))) for g in facts.groups if g.id != NOISE]
    known = [(g, values) for g, values in own if len(values)]
    if not known:
        return None
    shown, rest = known[:MAX_BARS], known[MAX_BARS:]
    mean = float(np.mean(np.concatenate([values for _, values in known])))
    figure, axes = framed(8, float(np.clip(1.6 + 0.42 * len(shown), 3.2, 12)), theme)
    largest = max(len(values) for _, values in shown)
    y, labels = 0.0, []
    for group, values in shown:
        height = max(0.28, len(values) / largest)
        outline = np.quantile(values, np.linspace(0, 1, PROFILE))
        rows = y + height * np.linspace(1, 0, PROFILE)
        axes.fill_betweenx(rows, 0, outline, where=outline >= 0, color=theme.bar, lw=0, interpolate=True)
        axes.fill_betweenx(rows, 0, outline, where=outline <= 0, color=theme.chosen, lw=0, interpolate=True)
        below = int((values < 0).sum())
        note = f"{values.mean():.2f}" + (f" · {share(below, len(values))} below 0" if below else "")
        axes.text(1.02, y + height / 2, note, va="center", fontsize=7.5, color=theme.quiet)
        name = axes.text(-1, y + height / 2, labelled(group), va="center", ha="right", fontsize=8.5, color=theme.ink)
        name.set_parse_math(False)
        labels.append(name)
        y += height + 0.12
    axes.axvline(mean, color=theme.ink, lw=1, ls=(0, (4, 3)))
    axes.axvline(0, color=theme.quiet, lw=0.8)
    lowest = min(float(values[0]) for _, values in shown)
    left = float(np.clip(lowest - 0.06, -1, -0.1))
    for name in labels:
        name.set_x(left - 0.02 * (1 - left))
    axes.set_xlim(left, 1)
    axes.set_ylim(y, -0.12)
    axes.set_yticks([])
    if max(len(name.get_text()) for name in labels) <= 3:  # names need the room, and no word that says what they are
        axes.set_ylabel("group", color=theme.quiet, fontsize=9, labelpad=26)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    title = f"Silhouettes in the features, by group (mean {mean:.2f}, dashed)"
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=theme.ink)
    note = "−1: lies in another group, 0: on the border, 1: far from all others; numbers: mean of the group."
    if sample := facts.sample:
        note += f"\nDistances are to {count(sample)} images that stand for all."
    if lowest < 0:
        note += "\nRed: images that lie nearer to another group."
    if rest:
        note += f" {counted(len(rest), 'smaller group')} not drawn."
    axes.set_xlabel(note, fontsize=8, color=theme.quiet)
    return figure


def _known(values: Floats) -> Floats:
    return np.asarray(values[np.isfinite(values)])


def draw_similarity(run: Run, facts: Facts, theme: Theme = LIGHT) -> Figure | None:
    """Return the cosine between the centres of the groups, alike ones side by side; None below three groups."""
    found = centres(run, facts)
    if found is None or len(found[0]) < 3:
        return None
    groups, middle = found
    cosine = np.clip(middle @ middle.T, -1, 1)
    order = leaf_order(cosine)
    cosine, names = cosine[np.ix_(order, order)], [labelled(groups[i]) for i in order]
    n = len(order)
    apart = cosine[~np.eye(n, dtype=bool)]
    side = float(np.clip(0.36 * n + 2.6, 4.6, 11.5))
    figure, axes = framed(side + 1.2, side, theme)
    shade = np.where(np.eye(n, dtype=bool), np.nan, cosine)
    low, high = float(apart.min()), float(apart.max())
    image = axes.imshow(shade, cmap="cividis", vmin=low, vmax=high if high > low else low + 1e-3)
    small = 8 if n <= 30 else 6
    degrees = 90 if max(len(name) for name in names) > 3 else 0
    axes.set_xticks(range(n), names, rotation=degrees, fontsize=small, parse_math=False)
    axes.set_yticks(range(n), names, fontsize=small, parse_math=False)
    if n <= 20:
        for (row, column), value in np.ndenumerate(cosine):
            if row != column:
                ink = "black" if value > (low + high) / 2 else "white"
                size = 7 if n <= 12 else 5.5
                text = axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=size, color=ink)
                text.set_in_layout(False)  # inside of its cell: measuring it would only cost time
    axes.set_ylabel("group", color=theme.quiet, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7)
    bar.set_label("cosine similarity of centres", fontsize=8.5, color=theme.quiet)
    bar.ax.tick_params(labelsize=8, colors=theme.ink)
    bar.outline.set_visible(False)
    axes.set_title("Which groups are alike", loc="left", fontsize=12, fontweight="bold", color=theme.ink)
    rest = facts.n_groups - n
    note = "Alike groups stand side by side; 1 = same direction of mean features."
    axes.set_xlabel(
        note + (f"\nThe {n} largest groups; {rest:,} more are not drawn." if rest > 0 else ""),
        fontsize=8,
        color=theme.quiet,
    )
    return figure


def centres(run: Run, facts: Facts) -> tuple[list[Group], Floats] | None:
    """Return the 60 largest groups and the unit centres (g, d) of their L2-normalised features; None below two.

    Reads the features in blocks of 16 MiB; of more than 150 million values a sample, the same share of each group.
    """
    groups = [g for g in facts.groups if g.id != NOISE and g.size][:MAX_CENTRES]
    try:
        features = run.features()
    except RunError:
        return None
    if len(groups) < 2 or features.ndim != 2 or len(features) != len(facts.paths):
        return None
    width = max(1, features.shape[1])
    total = sum(g.size for g in groups)
    part = min(1.0, MAX_VALUES / width / total)
    rng = np.random.default_rng(0)
    taken = [
        rng.permutation(g.members)[: max(1, min(g.size, round(part * g.size) + 20))] if part < 1 else g.members
        for g in groups
    ]
    rows = np.concatenate(taken)
    owner = np.repeat(np.arange(len(groups)), [len(t) for t in taken])
    order = np.argsort(rows, kind="stable")
    rows, owner = rows[order], owner[order]
    sums = np.zeros((len(groups), width))
    step = max(1, STEP_BYTES // (4 * width))
    for start in range(0, len(rows), step):
        at, who = rows[start : start + step], owner[start : start + step]
        block = np.asarray(features[at], np.float32)
        length = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        weight = np.divide(1.0, length, out=np.zeros_like(length), where=np.isfinite(length) & (length > 0))
        block[weight == 0] = 0
        release(features)  # a mapped file: what was read of it would stay in memory, all of it at a million images
        sums += csr_matrix((weight, (who, np.arange(len(at)))), shape=(len(groups), len(at))) @ block
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    return groups, np.divide(sums, norms, out=np.zeros_like(sums), where=norms > 0)


def leaf_order(cosine: Floats) -> list[int]:
    """Return an order of groups in which alike ones stand side by side: the leaves of their average-linkage tree."""
    if len(cosine) < 3:
        return list(range(len(cosine)))
    distance = np.maximum(0, 1 - (cosine + cosine.T) / 2)
    np.fill_diagonal(distance, 0)
    return [int(i) for i in leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True))]
