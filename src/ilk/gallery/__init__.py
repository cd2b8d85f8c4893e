"""The gallery: a page on this machine that shows whole groups, corrects them, and groups again. No torch.

Knows runs, files, corrections, regroup and exports, never methods. Who may ask it anything is said in `security`.
"""

from ilk.gallery.serving import HOST, Served, serving

__all__ = ["HOST", "Served", "serving"]
