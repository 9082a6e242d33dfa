"""``python -m loadtests.day``."""

import sys

from loadtests.day.main import main

sys.exit(main())
