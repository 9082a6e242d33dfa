"""What Mosquitto reads: its settings, its users with their passwords' hashes, and its rights."""

import hashlib
import os
import secrets
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from runtime.mqtt_broker.packets import PACKET_BYTES_MAX, QUEUED_PER_SERVICE_MAX
from scheme.errors import ConfigError
from scheme.limits import AGENT_PAYLOAD_BYTES_MAX, MQTT_PUBLISHING_MAX
from scheme.wire.mqtt_topics import readable, writable

_SALT_BYTES = 12
_ITERATIONS = 2
"""A password has 144 random bits, which nobody guesses however fast a guess is."""
_OWNER_ONLY = 0o600
_QUEUED_BYTES_MAX = 4 * 1024 * 1024
"""Kept for one client that is away, or slow."""


class Tls(Struct, frozen=True, kw_only=True):
    """Where the TLS port is, and its certificate."""

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path


class MosquittoFiles:
    """The files in one folder.

    Args:
        folder: where they are written, readable by their owner only.
    """

    def __init__(self, folder: Path) -> None:
        self.settings = folder / "mosquitto.conf"
        self._acl = folder / "acl"
        self._passwords = folder / "passwd"
        self._hashes: dict[str, str] = {}

    def write_settings(
        self, *, host: str, port: int, tls: Tls | None, connections_max: int
    ) -> None:
        """Write the settings.

        Raises:
            ConfigError: the folder cannot be written.
        """
        lines = [
            "per_listener_settings false",
            "allow_anonymous false",
            f"password_file {self._passwords.resolve()}",
            f"acl_file {self._acl.resolve()}",
            "persistence false",
            "persistent_client_expiration 7d",
            "log_dest stderr",
            "log_type error",
            "connection_messages false",
            "log_timestamp false",
            "sys_interval 0",
            "set_tcp_nodelay true",
            f"max_inflight_messages {MQTT_PUBLISHING_MAX}",
            # It knows one bound for all, so it is that of the services; the bytes bound the others.
            f"max_queued_messages {QUEUED_PER_SERVICE_MAX}",
            f"max_queued_bytes {_QUEUED_BYTES_MAX}",
            f"message_size_limit {AGENT_PAYLOAD_BYTES_MAX}",
            f"max_packet_size {PACKET_BYTES_MAX}",
            # Started as root it would become another user, who could not read these files.
            *(["user root"] if os.getuid() == 0 else []),
            *_listener(host, port, connections_max),
        ]
        if tls is not None:
            lines += [
                *_listener(tls.host, tls.port, connections_max),
                f"cafile {tls.authority.resolve()}",
                f"certfile {tls.certificate.resolve()}",
                f"keyfile {tls.key.resolve()}",
                "require_certificate false",
            ]
        _write(self.settings, lines)

    def write_users(self, users: Iterable[tuple[str, str]]) -> None:
        """Write who may connect, with what, and each one's rights.

        Args:
            users: names and passwords.

        Raises:
            ConfigError: the folder cannot be written.
        """
        known = sorted(users)
        hashes = {name: self._hashes.get(name) or hashed(secret) for name, secret in known}
        self._hashes = hashes
        _write(self._passwords, (f"{name}:{one}" for name, one in hashes.items()))
        _write(self._acl, (line for name in hashes for line in rights(name)))


def _listener(host: str, port: int, connections_max: int) -> Iterator[str]:
    yield f"listener {port} {host}"
    yield f"max_connections {connections_max}"
    # So nobody takes over another's session, whatever id it names.
    yield "use_username_as_clientid true"


def rights(username: str) -> Iterator[str]:
    """Return one user's lines of the access list."""
    yield f"user {username}"
    yield from (f"topic write {one}" for one in writable(username))
    yield from (f"topic read {one}" for one in readable(username))


def hashed(password: str) -> str:
    """Return a password as Mosquitto keeps it."""
    salt = secrets.token_bytes(_SALT_BYTES)
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${b64encode(salt).decode()}${b64encode(derived).decode()}"


def _write(path: Path, lines: Iterable[str]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.unlink(missing_ok=True)
        part.touch(mode=_OWNER_ONLY)
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
