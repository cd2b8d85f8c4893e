"""Benchmark recipes: a table of methods, data and seeds; every cell a run that is kept, resumed and shown beside
published figures.
"""

from ilk.bench.recipe import Cell, Recipe, load_recipe
from ilk.bench.results import results_of
from ilk.bench.running import Outcome, run_recipe
from ilk.bench.table import markdown

__all__ = ["Cell", "Outcome", "Recipe", "load_recipe", "markdown", "results_of", "run_recipe"]
