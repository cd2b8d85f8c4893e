"""What a person sees in Python: how far a fit is, on a terminal or in a notebook, and groups with their pictures.

No torch; knows records and pictures, and nothing of where they come from. The command line has a screen of its own.
"""

from ilk.showing.page import PICTURES, Group, page
from ilk.showing.progress import Hook, watching

__all__ = ["PICTURES", "Group", "Hook", "page", "watching"]
