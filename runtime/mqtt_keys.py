"""Passwords of the broker's clients and keys of terminals, all derived from one key of the home."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Self

from runtime.kek import FOLDER, shared_key

VARIABLE = "CHASQUI_MQTT_KEY"
_FILE = "mqtt.key"
_KEY_BYTES = 32
_PASSWORD_BYTES = 18
_MEMBER_CHARACTERS = 12


class MqttKeys:
    """Who knows the one key knows all others, so nothing has to be handed from process to process.

    Args:
        root: the home's key.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root

    @classmethod
    def open(cls, home: Path) -> Self:
        """Read the home's key, or make it; the environment's ``CHASQUI_MQTT_KEY`` comes first.

        Raises:
            ConfigError: it is not 64 hex digits, or its file cannot be read or made.
        """
        return cls(shared_key(home / FOLDER / _FILE, VARIABLE, _KEY_BYTES))

    def password(self, username: str) -> str:
        """Return what a client of the broker shows."""
        return urlsafe_b64encode(self._derived("password", username)[:_PASSWORD_BYTES]).decode()

    def device_key(self, device: str) -> bytes:
        """Return the key of a terminal's MACs, 32 bytes."""
        return self._derived("device", device)

    def member_of(self, account: str) -> str:
        """Return the name of an account's topic, from which nobody finds the account."""
        return self._derived("member", account).hex()[:_MEMBER_CHARACTERS]

    def _derived(self, purpose: str, name: str) -> bytes:
        return hmac.digest(self._root, f"{purpose}:{name}".encode(), hashlib.sha256)
