"""`python -m seedlab`: the command line."""

import sys

from seedlab.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
