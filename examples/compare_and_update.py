"""Two groupings side by side, and new images that join one of them.

python examples/compare_and_update.py [WORK]
"""

import sys
from pathlib import Path

import digits_folder

import ilk


def main(work: Path) -> None:
    images, later = work / "first", work / "later"
    digits_folder.main(images, 0, 200)
    digits_folder.main(later, 200, 220)

    # Ten groups or eight? ARI, the agreement of two runs, is 1 for the same groups and 0 for what chance does.
    options = {"encoder": "gradients", "reducer": "pca", "clusterer": "kmeans"}
    ten = ilk.cluster(images, work / "ten", options={"n_clusters": 10, **options})
    eight = ilk.cluster(images, work / "eight", options={"n_clusters": 8, **options})
    found = ilk.compare([ten.path, eight.path])
    step = found.steps[0]
    print(f"agreement: ARI {found.pairs[0]['ari']:.2f}; {step.n_moved} of {found.n_common} images moved")
    for merged in step.merged:
        of = [found.names[0][piece["group"]] for piece in merged["of"]]
        print(f"{found.names[1][merged['group']]} holds most of {' and '.join(of)}")
    found.draw(work / "flow.png")

    # What you correct by hand is kept, can be undone, and is obeyed by all that follows.
    largest = max(ten.clusters(), key=lambda group: group["size"])
    ten.corrections.rename(largest["id"], "the largest")

    # New images join: each is placed by the run's model, and nothing else moves. The same again finds nothing new.
    before = ten.labels().tolist()
    done = ilk.update(ten.path, later)
    print("joined:", {name: n for name, n in done.sizes().items() if n})
    assert done.run.labels().tolist()[: len(before)] == before
    assert ilk.update(ten.path, later).nothing


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ilk-examples"))
