"""Rules as data: a profile is one named set of the scheme's limits, timers, fees and codes.

What a value may be stands in its type; what holds between values is checked by ``Profile.check``.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import time
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta, Struct

from scheme.cci import CciCheck
from scheme.codes import CURRENCY_NUMBERS
from scheme.errors import ConfigError

CURRENCIES: Final = tuple(CURRENCY_NUMBERS)
"""Names of the currencies that the wire has digits for."""
ALIAS_CURRENCY: Final = "PEN"
"""The only currency in which an alias is paid."""
TIMESTAMPS: Final = ("local_z", "utc")
PRESENT_AS: Final = ("string", "boolean")
_WIRE_CODE_CHARACTERS: Final = 4
_BRANCH_CHARACTERS_MAX: Final = 35

# A year is longer than anything here; it keeps infinity out, which no timer can be set to.
_YEAR_S: Final = 31_536_000
Wait = Annotated[float, Meta(gt=0, le=_YEAR_S)]
Waits = Annotated[tuple[Wait, ...], Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]
Several = Annotated[int, Meta(ge=1)]
Minor = Annotated[int, Meta(ge=0)]
Percent = Annotated[int, Meta(ge=0, le=1000)]


class Timers(Struct, frozen=True, forbid_unknown_fields=True):
    """Waits and lives, in seconds."""

    av_expiry_s: Wait
    ct_expiry_s: Wait
    originator_ct_timeout_s: Wait
    originator_retries: Count
    originator_retry_wait_s: Wait
    pending_resend_s: Waits
    av_binding_s: Wait
    enquiry_first_s: Wait
    enquiry_waits_s: Waits
    enquiry_wait_max_s: Wait
    owed_backoff_s: Waits
    owed_parked_after_s: Wait
    owed_answer_s: Wait
    echo_interval_s: Wait
    ct5_deliveries: Count = 0


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Amounts in minor units, by currency."""

    tin_min: dict[str, Minor]
    tin_max: dict[str, Minor]
    alias_min: dict[str, Minor]
    alias_max: dict[str, Minor]
    alias_day_max: dict[str, Minor]
    alias_day_operations: Count
    alias_receive_max: dict[str, Minor]
    alias_receive_day_max: dict[str, Minor]
    deferred_max: dict[str, Minor]
    lbtr_min: dict[str, Minor]


class Fees(Struct, frozen=True, forbid_unknown_fields=True):
    """Interbank fees in minor units."""

    same_plaza: dict[str, Minor]
    alias: dict[str, Minor]
    code: str
    purpose: str


class Windows(Struct, frozen=True, forbid_unknown_fields=True):
    """Settlement windows: the Lima local time at which the day's window closes."""

    cut_off: str


class DirectoryRules(Struct, frozen=True, forbid_unknown_fields=True):
    """Quotas against enumeration, and how answers are written.

    Attributes:
        bucket_per_minute: tokens a participant's bucket gains in a minute; 0: no quota.
        timestamps: ``local_z`` (Lima local time printed with a Z) or ``utc``.
        present_as: ``string`` or ``boolean``.
    """

    payer_lookups_max: Several
    payer_lookups_minutes: Several
    payer_block_minutes: Count
    bucket_size: Several
    bucket_per_minute: Count
    known_cost: Count
    unknown_cost: Count
    qr_token_s: Several
    timestamps: str = "local_z"
    present_as: str = "string"


class Switch(Struct, frozen=True, forbid_unknown_fields=True):
    """Choices of the clearing house."""

    on_us_allowed: bool
    strict_resend: bool
    branch_id: str


class CciRules(Struct, frozen=True, forbid_unknown_fields=True):
    """Check of CCI digits by role: ``strict``, ``lenient`` or ``off``."""

    originator: str
    clearing_house: str
    receiver: str


class Prefund(Struct, frozen=True, forbid_unknown_fields=True):
    """First prefund of a participant and its watermarks, in minor units by currency.

    Watermarks are in per cent of the prefund.
    """

    minor: dict[str, Minor]
    low_percent: Percent
    high_percent: Percent
    cap_minor: dict[str, Minor]


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """All rules of one scheme. Sources and dates stand beside each value in its file."""

    name: str
    timers: Timers
    limits: Limits
    fees: Fees
    windows: Windows
    directory: DirectoryRules
    switch: Switch
    cci: CciRules
    prefund: Prefund

    @classmethod
    def parse(cls, text: str, *, origin: str = "profile") -> Self:
        """Read a profile's TOML.

        Raises:
            ConfigError: not TOML, an unknown or missing key, or a value that cannot be; names
                the file, the key and the reason.
        """
        try:
            profile = msgspec.convert(tomllib.loads(text), cls)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{origin}: {error}") from error
        profile.check(origin)
        return profile

    def check(self, origin: str) -> None:
        """Raise ConfigError for values that are possible each, but not here or not together."""
        for key, reason in (
            *_wrong_tables(self),
            *_wrong_choices(self),
            *_wrong_texts(self),
            *_wrong_order(self),
        ):
            raise ConfigError(f"{origin}: {key}: {reason}")

    def amounts(self) -> Mapping[str, Mapping[str, int]]:
        """Return every table of amounts by currency, under its key in the file."""
        sections = {"limits": self.limits, "fees": self.fees, "prefund": self.prefund}
        return {
            f"{section}.{name}": table
            for section, rules in sections.items()
            for name, table in msgspec.structs.asdict(rules).items()
            if isinstance(table, dict)
        }

    def without(self, currency: str) -> str | None:
        """Return the key of a table that says nothing of a currency but would be asked, if any."""
        tables = self.amounts()
        asked = _TABLES_OF_ALL + (_TABLES_OF_ALIASES if currency == ALIAS_CURRENCY else ())
        return next((key for key in asked if currency not in tables[key]), None)


_Fault = tuple[str, str]
_TABLES_OF_ALL: Final = (
    "limits.tin_min", "limits.tin_max", "fees.same_plaza", "prefund.minor", "prefund.cap_minor",
)  # fmt: skip
_TABLES_OF_ALIASES: Final = (
    "limits.alias_min", "limits.alias_max", "limits.alias_day_max", "limits.alias_receive_max",
    "limits.alias_receive_day_max", "fees.alias",
)  # fmt: skip


def _wrong_tables(profile: Profile) -> Iterator[_Fault]:
    for key, table in profile.amounts().items():
        for currency in table:
            if currency not in CURRENCIES:
                yield f"{key}.{currency}", f"one of {', '.join(CURRENCIES)}"
    lacking = profile.without(ALIAS_CURRENCY)
    if lacking is not None:
        yield lacking, f"no value for {ALIAS_CURRENCY}"


def _wrong_choices(profile: Profile) -> Iterator[_Fault]:
    cci, directory = profile.cci, profile.directory
    modes = tuple(CciCheck)
    chosen: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("cci.originator", cci.originator, modes),
        ("cci.clearing_house", cci.clearing_house, modes),
        ("cci.receiver", cci.receiver, modes),
        ("directory.timestamps", directory.timestamps, TIMESTAMPS),
        ("directory.present_as", directory.present_as, PRESENT_AS),
    )
    for key, value, choices in chosen:
        if value not in choices:
            yield key, f"one of {', '.join(choices)}"


def _wrong_texts(profile: Profile) -> Iterator[_Fault]:
    codes = (("fees.code", profile.fees.code), ("fees.purpose", profile.fees.purpose))
    for key, value in codes:
        if len(value) != _WIRE_CODE_CHARACTERS or not _is_plain(value):
            yield key, f"{_WIRE_CODE_CHARACTERS} letters or digits"
    branch = profile.switch.branch_id
    if len(branch) > _BRANCH_CHARACTERS_MAX or not _is_plain(branch):
        yield "switch.branch_id", f"1 to {_BRANCH_CHARACTERS_MAX} letters or digits"
    if not profile.name:
        yield "name", "must not be empty"
    cut_off = profile.windows.cut_off
    if not _is_time(cut_off):
        yield "windows.cut_off", f"{cut_off!r} is no HH:mm:ss"


def _wrong_order(profile: Profile) -> Iterator[_Fault]:
    limits, prefund = profile.limits, profile.prefund
    pairs = (("tin", limits.tin_min, limits.tin_max), ("alias", limits.alias_min, limits.alias_max))
    for name, least, most in pairs:
        for currency, minor in least.items():
            if minor > most.get(currency, minor):
                yield f"limits.{name}_min.{currency}", f"above limits.{name}_max"
    if prefund.low_percent > prefund.high_percent:
        yield "prefund.low_percent", "above prefund.high_percent"


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isalnum()


def _is_time(text: str) -> bool:
    try:
        time.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("HH:mm:ss") and text.isascii()
