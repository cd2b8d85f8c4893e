"""``python -m ilk``."""

import sys

from ilk.cli import main

if __name__ == "__main__":
    sys.exit(main())
