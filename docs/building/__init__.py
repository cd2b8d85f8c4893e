"""How the docs site is made: what mkdocs.yml names as hooks."""
