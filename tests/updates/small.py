"""Options that group a few small images in a fraction of a second."""

OPTIONS = {"n_clusters": 3, "encoder": "pixels", "preset": "tiny"}
