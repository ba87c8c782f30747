"""`python -m kerneltheory`."""

import sys

from kerneltheory.cli import main

if __name__ == "__main__":
    sys.exit(main())
