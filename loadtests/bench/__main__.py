"""``python -m loadtests.bench``."""

import sys

from loadtests.bench.main import main

sys.exit(main())
