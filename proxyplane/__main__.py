"""`python -m proxyplane` is the command `proxyplane`."""

from __future__ import annotations

import sys

from proxyplane.cli import main

if __name__ == "__main__":
    sys.exit(main())
