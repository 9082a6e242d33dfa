"""Reads what people write: profiles and fleets, from their files or from those we bring."""

from importlib import resources
from pathlib import Path

from scheme.errors import ConfigError
from scheme.network import Fleet
from scheme.profile import Profile

_SUFFIX = ".toml"


def load_profile(name_or_path: str) -> Profile:
    """Return a profile that comes with Chasqui by its name, or another by its file.

    Args:
        name_or_path: ``peru``, or a path that ends in ``.toml``.

    Raises:
        ConfigError: there is no such profile or file, or it is wrong; says which and why.
    """
    if name_or_path.endswith(_SUFFIX):
        return Profile.parse(_read(Path(name_or_path)), origin=name_or_path)
    ours = resources.files("scheme") / "profiles"
    known = {one.name.removesuffix(_SUFFIX): one for one in ours.iterdir() if one.is_file()}
    if name_or_path not in known:
        names = ", ".join(sorted(known))
        raise ConfigError(
            f"profile {name_or_path!r}: unknown: one of {names}, or a path that ends in {_SUFFIX}"
        )
    return Profile.parse(known[name_or_path].read_text(encoding="utf-8"), origin=name_or_path)


def load_fleet(path: Path) -> Fleet:
    """Return the participants declared in a file.

    Raises:
        ConfigError: the file cannot be read or is wrong; says which and why.
    """
    return Fleet.parse(_read(path), origin=str(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
