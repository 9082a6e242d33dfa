"""``python -m participants --config FILE``."""

import sys

from participants.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
