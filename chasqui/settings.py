"""Settings: flags, then CHASQUI_* variables, then ``chasqui.toml``, then built-in values.

Top-level keys hold for all commands; a table ``[send]`` holds values of the flags of ``send``.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from scheme.errors import ConfigError

SETTINGS_FILE = "chasqui.toml"
FLEET_FILE = "fleet.toml"
HOME_DEFAULT = ".chasqui"
COUNTRY_FILE = "run/country.json"
"""Written by ``up`` in the home folder: where the running country listens."""
TIN_PORT = 7080
OPERATOR_PORT = 7081
NETWORK_PORT = 7082
ISO8583_PORT = 7083
MQTT_PORT = 7084
MQTT_TLS_PORT = 7085
TIMEOUT_S = 30.0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The top-level keys of ``chasqui.toml``.

    Attributes:
        lang: ``es`` or ``en``; empty: as the locale says.
        operator_url, tin_url: where the country listens; empty: as ``up`` wrote it down.
        timeout_s: wait for each answer of the country.
    """

    lang: Literal["", "es", "en"] = ""
    operator_url: str = ""
    tin_url: str = ""
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Settings:
    """What one settings file says.

    Attributes:
        path: the file, whether or not it exists.
        config: its top-level keys.
        tables: values of flags, by command.
    """

    path: Path
    config: Config = field(default_factory=Config)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_settings(path: Path, *, commands: Collection[str], must_exist: bool) -> Settings:
    """Read and check a settings file.

    Args:
        commands: names that a table may have.
        must_exist: the file was asked for by name.

    Raises:
        ConfigError: names the file, the key and the reason.
    """
    if not path.exists() and not must_exist:
        return Settings(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = {key: value for key, value in document.items() if isinstance(value, dict)}
        plain = {key: value for key, value in document.items() if key not in tables}
        config = msgspec.convert(plain, Config)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    for name in tables:
        if name not in commands:
            raise ConfigError(f"{path}: [{name}]: there is no such command")
    return Settings(path, config, tables)


def check_table(
    path: Path, command: str, table: Mapping[str, Any], shapes: Mapping[str, type]
) -> None:
    """Check the table of one command against the types of its flags.

    Raises:
        ConfigError: an unknown key or a value of the wrong type.
    """
    fields = [(name, shape, msgspec.UNSET) for name, shape in shapes.items()]
    shape = msgspec.defstruct("Table", fields, kw_only=True, forbid_unknown_fields=True)
    try:
        msgspec.convert(table, shape)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: [{command}]: {error}") from error


class Whereabouts(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running country listens: the file that ``up`` writes.

    Attributes:
        fleet: path of the file that declares its institutions and their people.
        iso8583_address: host and port of that lane; empty where nobody speaks it.
        mqtt_address: host and port of the broker on this machine; empty if there is none.
        mqtt_tls_address: where others reach it, over TLS.
    """

    operator_url: str
    tin_url: str
    fleet: str
    pid: int
    iso8583_address: str = ""
    mqtt_address: str = ""
    mqtt_tls_address: str = ""


def whereabouts(home: Path) -> Whereabouts | None:
    """Return what ``up`` wrote down, or None if nothing readable is there."""
    try:
        return msgspec.json.decode((home / COUNTRY_FILE).read_bytes(), type=Whereabouts)
    except (OSError, msgspec.DecodeError):
        return None
