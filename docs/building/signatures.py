"""What griffe, which reads the code without running it, does not see of ilk's classes.

* `@estimator` makes the constructor out of the fields of a class and of its bases: here it is given the one it gets.
* A docstring names a page of the docs by its path: on the site that is a link.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe


def constructor(cls: type[Any]) -> griffe.Function:
    """Return the constructor that `cls` has at run time."""
    kinds = {
        inspect.Parameter.POSITIONAL_ONLY: griffe.ParameterKind.positional_only,
        inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
        inspect.Parameter.VAR_POSITIONAL: griffe.ParameterKind.var_positional,
        inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
        inspect.Parameter.VAR_KEYWORD: griffe.ParameterKind.var_keyword,
    }
    empty = inspect.Parameter.empty
    parameters = [
        griffe.Parameter(
            name,
            annotation=None if one.annotation is empty else str(one.annotation),
            kind=kinds[one.kind],
            default=None if one.default is empty else repr(one.default),
        )
        for name, one in inspect.signature(cls.__init__).parameters.items()
    ]
    return griffe.Function("__init__", parameters=griffe.Parameters(*parameters))


class Signatures(griffe.Extension):
    """Adds constructors and links; called by mkdocstrings when the package has been read."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Look through all modules of a package."""
        if pkg.path == "ilk":
            for module in self._modules(pkg):
                self._module(module)

    def _modules(self, module: griffe.Module) -> list[griffe.Module]:
        inner = [one for one in module.members.values() if isinstance(one, griffe.Module)]
        return [module, *(deeper for one in inner for deeper in self._modules(one))]

    def _module(self, module: griffe.Module) -> None:
        for cls in [one for one in module.members.values() if isinstance(one, griffe.Class)]:
            if cls.docstring:
                page = r"docs/methods/([\w-]+)\.md"
                cls.docstring.value = re.sub(page, r"[\1](../methods/\1.md)", cls.docstring.value)
            if module.path.startswith("ilk.methods.") and "__init__" not in cls.members:
                real = getattr(importlib.import_module(module.path), cls.name)
                if hasattr(real, "get_params"):
                    cls.set_member("__init__", constructor(real))
