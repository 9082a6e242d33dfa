"""``python -m switch.notifier``."""

import sys

from switch.notifier.main import main

sys.exit(main())
