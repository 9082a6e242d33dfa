"""Rules as data: a profile is one named set of the scheme's limits, timers, fees and codes."""

import tomllib
from typing import Self

import msgspec
from msgspec import Struct

from scheme.errors import ConfigError


class Timers(Struct, frozen=True, forbid_unknown_fields=True):
    """Waits and lives, in seconds."""

    av_expiry_s: float
    ct_expiry_s: float
    originator_ct_timeout_s: float
    originator_retries: int
    originator_retry_wait_s: float
    pending_resend_s: tuple[float, ...]
    av_binding_s: float
    enquiry_first_s: float
    enquiry_waits_s: tuple[float, ...]
    enquiry_wait_max_s: float
    owed_backoff_s: tuple[float, ...]
    owed_parked_after_s: float
    owed_answer_s: float
    echo_interval_s: float
    ct5_deliveries: int = 0


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Amounts in minor units, by currency."""

    tin_min: dict[str, int]
    tin_max: dict[str, int]
    alias_min: dict[str, int]
    alias_max: dict[str, int]
    alias_day_max: dict[str, int]
    alias_day_operations: int
    alias_receive_max: dict[str, int]
    alias_receive_day_max: dict[str, int]
    deferred_max: dict[str, int]
    lbtr_min: dict[str, int]


class Fees(Struct, frozen=True, forbid_unknown_fields=True):
    """Interbank fees in minor units."""

    same_plaza: dict[str, int]
    alias: dict[str, int]
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

    payer_lookups_max: int
    payer_lookups_minutes: int
    payer_block_minutes: int
    bucket_size: int
    bucket_per_minute: int
    known_cost: int
    unknown_cost: int
    qr_token_s: int
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

    minor: dict[str, int]
    low_percent: int
    high_percent: int
    cap_minor: dict[str, int]


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
            ConfigError: not TOML, an unknown or missing key, or a value of the wrong type.
        """
        try:
            return msgspec.convert(tomllib.loads(text), cls)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{origin}: {error}") from error
