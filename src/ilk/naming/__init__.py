"""Words for groups, without a label: what the bundled classifier sees in their images."""

from __future__ import annotations

from ilk.naming.groups import Named, name_groups
from ilk.naming.guessing import Guess, guess
from ilk.naming.vocabulary import Vocabulary, imagenet, own, read_words

__all__ = ["Guess", "Named", "Vocabulary", "guess", "imagenet", "name_groups", "own", "read_words"]
