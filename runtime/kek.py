"""Keys that processes of one home share: from the environment, or a private file of the home."""

import os
import secrets
from pathlib import Path

from scheme.errors import ConfigError

FOLDER = "keys"
VARIABLE = "CHASQUI_KEK_"
"""Its participant's code follows; the value is the key in hex."""
_OWNER_ONLY = 0o600


def kek_path(home: Path, code: str) -> Path:
    """Return where a participant's key lies if the environment has none."""
    return home / FOLDER / f"{code}.kek"


def kek_of(home: Path, code: str, length: int) -> bytes:
    """Return the key under which session keys travel to a participant and back.

    Args:
        length: in bytes, as the participant's algorithm needs it.

    Raises:
        ConfigError: as ``shared_key``.
    """
    return shared_key(kek_path(home, code), VARIABLE + code, length)


def shared_key(path: Path, variable: str, length: int) -> bytes:
    """Return a key that is in an environment variable, or else in a file.

    A file is made once, so that a simulated country needs no set-up; whoever connects something of
    their own reads it there, or sets the variable for both sides.

    Raises:
        ConfigError: the key is not hex of that length, or its file cannot be read or made. The
            key itself is never said.
    """
    told = os.environ.get(variable)
    if told is not None:
        return _parsed(told, length, variable)
    try:
        return _parsed(path.read_text(), length, str(path))
    except FileNotFoundError:
        return _made(path, length)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read") from error


def _parsed(text: str, length: int, origin: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != length:
        raise ConfigError(f"{origin}: {2 * length} hex digits are needed")
    return key


def _made(path: Path, length: int) -> bytes:
    key = secrets.token_bytes(length)
    # Under its name only once it is whole: the switch and the fleet start side by side.
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(key.hex().upper() + "\n")
            os.link(draft, path)
        finally:
            draft.unlink()
    except FileExistsError:
        # The other process was first: both must have the same.
        return _parsed(path.read_text(), length, str(path))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}") from error
    return key
