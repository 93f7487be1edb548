"""`python -m rt_predictor` is `rt-predictor`."""

import sys

from rt_predictor.cli import main

if __name__ == "__main__":
    sys.exit(main())
