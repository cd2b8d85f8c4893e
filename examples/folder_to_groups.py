"""From a folder of images to groups: found, looked at, and taken away as folders of their own.

    python examples/folder_to_groups.py [WORK]

The images are handwritten digits; put the name of your own folder in their place.
"""

import sys
from pathlib import Path

import digits_folder

import ilk


def main(work: Path) -> None:
    images = work / "digits"
    digits_folder.main(images, 0, 300)

    # Without n_clusters the number of groups is chosen, and run.k_table() says why. What is there already is not done
    # again: the second call of the same job opens the finished run.
    run = ilk.cluster(images, work / "run", options={"n_clusters": 10})
    print(run)

    # A group has a number, a name, a size, and the images that are most typical of it.
    paths = run.images()["path"]
    for group in run.clusters():
        print(group["name"], group["size"], "such as", [paths[row] for row in group["exemplars"][:3]])

    # Every image has a row: its group, how sure that is, the next best group.
    rows = list(run.table().rows())
    doubtful = sorted(rows, key=lambda row: row["confidence"])[:3]
    print("least sure of", [row["path"] for row in doubtful])

    # A folder for each group, with links to the images. They are never moved or changed.
    done = ilk.export(run.path, work / "sorted")
    print(f"{done.n_images} images sorted into {work / 'sorted'}")
    print(f"look at {run.path / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "ilk-examples"))
