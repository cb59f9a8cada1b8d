"""`python -m relax`: see `relax.frontdoor.command`."""

import sys

from relax.frontdoor.command import main

if __name__ == "__main__":
    sys.exit(main())
