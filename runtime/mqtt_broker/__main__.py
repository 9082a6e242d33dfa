"""``python -m runtime.mqtt_broker``."""

import sys

from runtime.mqtt_broker.main import main

sys.exit(main())
