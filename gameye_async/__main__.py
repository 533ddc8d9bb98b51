"""`python -m gameye_async`: the command line."""

import sys

from gameye_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
