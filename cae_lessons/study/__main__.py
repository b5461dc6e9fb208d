"""Run the study: `python -m cae_lessons.study --help`."""

import sys

from cae_lessons.study import main

if __name__ == "__main__":
    sys.exit(main())
