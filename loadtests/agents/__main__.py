"""``python -m loadtests.agents``."""

import sys

from loadtests.agents.main import main

sys.exit(main())
