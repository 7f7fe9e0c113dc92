"""`python -m seedlab` and the program `seedlab`: the command line.

Nothing is imported before `main` runs, so that Ctrl-C ends the imports, too, without a traceback.
"""

import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from seedlab.commands import cli

        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
