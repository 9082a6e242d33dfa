"""Reads what people write: profiles and fleets, from their files or from those we bring."""

from importlib import resources
from pathlib import Path

from scheme.errors import ConfigError
from scheme.network import Fleet, Participant
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
        ConfigError: the file, or a certificate named in it, cannot be read or is wrong; says
            which and why.
    """
    fleet = Fleet.parse(_read(path), origin=str(path))
    for one in fleet.participant:
        if one.certificate:
            _check_certificate(one, str(path))
    return fleet


def load_country(profile: str, fleet: Path) -> tuple[Profile, Fleet]:
    """Return rules and participants that fit together.

    Args:
        profile: as ``load_profile`` takes it.

    Raises:
        ConfigError: as both of them raise it, or the rules say nothing of a currency that a
            participant uses.
    """
    rules, members = load_profile(profile), load_fleet(fleet)
    for one in members.participant:
        for currency in one.currencies:
            lacking = rules.without(currency)
            if lacking is not None:
                raise ConfigError(f"{profile}: {lacking}: no value for {currency}")
    return rules, members


def _check_certificate(one: Participant, origin: str) -> None:
    from runtime import pki  # Late: few files name one, and the library behind it is heavy.

    try:
        pki.load_certificate(Path(one.certificate))
    except ConfigError as error:
        raise ConfigError(f"{origin}: participant {one.code!r}: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text") from error
