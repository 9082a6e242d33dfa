"""``python -m switch``."""

import sys

from switch.main import main

sys.exit(main())
