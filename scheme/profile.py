"""Rules as data: a profile is one named set of the scheme's limits, timers, fees and codes.

What a value may be stands in its type; what holds between values, in ``scheme.profile_checks``.
"""

import tomllib
from collections.abc import Mapping
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta, Struct

from scheme.codes import CURRENCY_NUMBERS
from scheme.errors import ConfigError

CURRENCIES: Final = tuple(CURRENCY_NUMBERS)
"""Names of the currencies that the wire has digits for."""
ALIAS_CURRENCY: Final = "PEN"
"""The only currency in which an alias is paid."""
TIMESTAMPS: Final = ("local_z", "utc")
PRESENT_AS: Final = ("string", "boolean")
RAILS: Final = ("on_us", "network", "tin", "deferred", "lbtr")
"""How a transfer can travel (docs/routing.md)."""
PLAZAS: Final = ("M", "O", "E")
CYCLES: Final = ("national", "dale", "deferred", "national-dispute", "dale-dispute")
"""What windows are opened for; the dispute cycles take returns only."""
CHOOSE: Final = ("order", "cost")
OFFSETTING: Final = ("none", "bilateral", "multilateral")
ADDRESSING: Final = ("own", "sponsor")
FAILURE_RULES: Final[Mapping[str, tuple[str, ...]]] = {
    "national": ("queue", "retry", "guarantee_fund", "loss_sharing"),
    "dale": ("queue", "retry", "sponsor"),
    # Nothing of it is final before its cycle settles, so only here can orders be unwound.
    "deferred": ("queue", "retry", "guarantee_fund", "unwind"),
}
"""What may be done, by cycle, when a participant cannot pay in."""

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


class Tariff(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fee: a flat amount plus a share of the amount, the share within bounds.

    Attributes:
        flat, least, most: minor units by currency; a missing bound does not bind.
        basis_points: hundredths of a per cent of the amount.
    """

    flat: dict[str, Minor] = {}
    basis_points: Annotated[int, Meta(ge=0, le=10_000)] = 0
    least: dict[str, Minor] = {}
    most: dict[str, Minor] = {}


class Fees(Struct, frozen=True, forbid_unknown_fields=True):
    """Interbank fees in minor units.

    Attributes:
        alias: flat, of a payment by phone or QR (channel 52).
        plaza: tariff of an immediate transfer by plaza: ``M`` same, ``O`` other, ``E`` exclusive.
        rail: tariff of the other rails: ``network``, ``deferred``, ``lbtr``; a missing one is free.
    """

    alias: dict[str, Minor]
    plaza: dict[str, Tariff]
    rail: dict[str, Tariff]
    code: str
    purpose: str


class Plazas(Struct, frozen=True, forbid_unknown_fields=True):
    """Where offices are. Invented.

    Attributes:
        default: plaza of every office that is not listed.
        exclusive: plazas whose transfers to and from elsewhere are exclusive (``E``).
        offices: plaza by the first six digits of a CCI: entity and office.
    """

    default: str
    exclusive: tuple[str, ...] = ()
    offices: dict[str, str] = {}


class Hours(Struct, frozen=True, forbid_unknown_fields=True):
    """When a rail takes orders, Lima time.

    Attributes:
        opens, closes: ``HH:mm:ss``.
        business_days: only on business days.
    """

    opens: str
    closes: str
    business_days: bool = True


class Rails(Struct, frozen=True, forbid_unknown_fields=True):
    """How a rail is chosen, and when each takes orders; no hours: always.

    Attributes:
        order: in which they are preferred.
        choose: ``order``, or ``cost``: the cheapest for the payer, ``order`` deciding ties.
    """

    order: tuple[str, ...]
    choose: str = "order"
    hours: dict[str, Hours] = {}


class BreakerRule(Struct, frozen=True, forbid_unknown_fields=True):
    """When a creditor's agent counts as down on a rail.

    Attributes:
        failed_percent: at least this share of the requests to it failed ...
        over_s: ... for more than this long.
        requests_min: fewer requests than this prove nothing.
        source: where the rule comes from.
    """

    failed_percent: Annotated[int, Meta(ge=1, le=100)]
    over_s: Wait
    requests_min: Several
    source: str = ""


class Breaker(Struct, frozen=True, forbid_unknown_fields=True):
    """The circuit breaker of each creditor's agent and rail.

    Attributes:
        half_open_after_s: an open one lets probes through after this long.
        probes: how many at a time; one success closes it, one failure opens it again.
        rule: for everyone; operator: instead of it, by participant code.
    """

    half_open_after_s: Wait
    probes: Several
    rule: BreakerRule
    operator: dict[str, BreakerRule] = {}


class Windows(Struct, frozen=True, forbid_unknown_fields=True):
    """Settlement windows.

    Attributes:
        cut_offs: Lima times of a business day at which a window closes, by cycle and currency.
        holidays: country whose holidays are no business days (ISO 3166), or empty.
        extra_holidays: further days, ``yyyy-MM-dd``.
    """

    cut_offs: dict[str, dict[str, tuple[str, ...]]]
    holidays: str = ""
    extra_holidays: tuple[str, ...] = ()


class Settlement(Struct, frozen=True, forbid_unknown_fields=True):
    """How a batch is approved and settled.

    Attributes:
        approvals: different people who must approve a batch before it is settled; 0: nobody.
        on_failure: what happens, in this order, when a participant cannot pay in, by cycle:
            ``queue``, ``retry``, ``guarantee_fund``, ``loss_sharing``, ``sponsor``, ``unwind``.
        queue_s: how long a pay-in may wait in the queue for money.
        retries, retry_s: further tries and the wait before each.
        charge_per_transfer: the clearing house's own charge to the debtor's agent, minor units.
        charge_per_window: and to each participant with traffic in a window.
        deferred_cap: most a participant may have sent in one exchange cycle.
    """

    approvals: Annotated[int, Meta(ge=0, le=2)]
    on_failure: dict[str, tuple[str, ...]]
    queue_s: Annotated[float, Meta(ge=0, le=_YEAR_S)]
    retries: Count
    retry_s: Wait
    charge_per_transfer: dict[str, Minor]
    charge_per_window: dict[str, Minor]
    deferred_cap: dict[str, Minor]


class Lbtr(Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated gross settlement, and the sponsors' books that work like it.

    Attributes:
        opening: first balance of a settling participant's current account.
        sponsor_opening: first balance of a coop's current account with its sponsor.
        intraday_credit: overdraft of a current account.
        guarantee_fund: first balance of the guarantee fund.
        offsetting: ``none`` (strictly first in, first out), ``bilateral`` or ``multilateral``.
    """

    opening: dict[str, Minor]
    sponsor_opening: dict[str, Minor]
    intraday_credit: dict[str, Minor]
    guarantee_fund: dict[str, Minor]
    offsetting: str


class Network(Struct, frozen=True, forbid_unknown_fields=True):
    """Dale, the coops' access network.

    Attributes:
        line: uncovered debit a sponsor grants each coop; prefund: what a coop starts with.
        addressing: what a debtor's agent is called outside: ``own`` code, or the ``sponsor``'s.
        plain_http: without TLS on loopback.
        session_s: life of a coop's session token.
        directory_wait_s: longest wait for the national directory.
        stale_days: an alias that only the network knows is hidden after this long.
    """

    line: dict[str, Minor]
    prefund: dict[str, Minor]
    addressing: str
    plain_http: bool
    session_s: Wait
    directory_wait_s: Wait
    stale_days: Several


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


class Iso8583Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """Waits of the ISO 8583 lane, in seconds; orders keep those of ``Timers``.

    Attributes:
        echo_idle_s: silence on a link after which an echo is sent.
        echo_answer_s: wait for its answer; then the link is cut.
        reconnect_s: waits of an institution before it dials again; the last one repeats.
        answer_s: an institution's own wait for the answer to a request.
        cash_answer_s: wait for an issuer's answer to a withdrawal or a balance.
    """

    echo_idle_s: Wait
    echo_answer_s: Wait
    reconnect_s: Waits
    answer_s: Wait
    cash_answer_s: Wait


class Cash(Struct, frozen=True, forbid_unknown_fields=True):
    """Withdrawals at cash machines, and codes for those without a card.

    Attributes:
        withdrawal_min, withdrawal_max: of one withdrawal, minor units by currency.
        withdrawal_step: amounts are multiples of it, as a machine has notes and no coins.
        code_digits: of a one-time code.
        code_s: its life.
        code_attempts: wrong codes after which it is void.
    """

    withdrawal_min: dict[str, Minor]
    withdrawal_max: dict[str, Minor]
    withdrawal_step: dict[str, Several]
    code_digits: Annotated[int, Meta(ge=4, le=12)]
    code_s: Wait
    code_attempts: Several


class AgentRules(Struct, frozen=True, forbid_unknown_fields=True):
    """What field agents may do (docs/agents.md).

    Attributes:
        offline_s: how long a terminal may work without the switch.
        offline_count, offline_minor: what all terminals of an agent may do so in one day.
        operation_max: largest operation, in minor units by currency.
        float_minor: what an agent may take in before it pays out or hands in.
        skew_s: by how much a terminal's clock may be off before an operator is told.
    """

    offline_s: Wait
    offline_count: Annotated[int, Meta(ge=0)]
    offline_minor: dict[str, Minor]
    operation_max: dict[str, Minor]
    float_minor: dict[str, Minor]
    skew_s: Wait


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """All rules of one scheme. Sources and dates stand beside each value in its file."""

    name: str
    timers: Timers
    limits: Limits
    fees: Fees
    plazas: Plazas
    rails: Rails
    breaker: Breaker
    windows: Windows
    settlement: Settlement
    lbtr: Lbtr
    network: Network
    directory: DirectoryRules
    switch: Switch
    cci: CciRules
    prefund: Prefund
    iso8583: Iso8583Rules
    cash: Cash
    agents: AgentRules

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
        # Late: the checks know the rules, so the rules cannot know the checks while they load.
        from scheme.profile_checks import faults

        for key, reason in faults(self):
            raise ConfigError(f"{origin}: {key}: {reason}")

    def amounts(self) -> Mapping[str, Mapping[str, int]]:
        """Return every table of amounts by currency, under its key in the file."""
        sections: dict[str, Struct] = {
            "limits": self.limits,
            "prefund": self.prefund,
            "lbtr": self.lbtr,
            "network": self.network,
            "cash": self.cash,
            "agents": self.agents,
        }
        tables = {
            f"{section}.{name}": table
            for section, rules in sections.items()
            for name, table in msgspec.structs.asdict(rules).items()
            if isinstance(table, dict)
        }
        tables["fees.alias"] = self.fees.alias
        for group, tariffs in (("plaza", self.fees.plaza), ("rail", self.fees.rail)):
            for name, tariff in tariffs.items():
                tables[f"fees.{group}.{name}.flat"] = tariff.flat
                tables[f"fees.{group}.{name}.least"] = tariff.least
                tables[f"fees.{group}.{name}.most"] = tariff.most
        for name in ("charge_per_transfer", "charge_per_window", "deferred_cap"):
            tables[f"settlement.{name}"] = getattr(self.settlement, name)
        return tables

    def without(self, currency: str) -> str | None:
        """Return the key of a table that says nothing of a currency but would be asked, if any."""
        tables = self.amounts()
        asked = _TABLES_OF_ALL + (_TABLES_OF_ALIASES if currency == ALIAS_CURRENCY else ())
        return next((key for key in asked if currency not in tables[key]), None)


_TABLES_OF_ALL: Final = (
    "limits.tin_min", "limits.tin_max", "limits.deferred_max", "limits.lbtr_min", "prefund.minor",
    "prefund.cap_minor", "lbtr.opening", "lbtr.sponsor_opening", "lbtr.intraday_credit",
    "lbtr.guarantee_fund", "network.line", "network.prefund", "settlement.deferred_cap",
    "settlement.charge_per_transfer", "settlement.charge_per_window", "cash.withdrawal_min",
    "cash.withdrawal_max", "cash.withdrawal_step",
)  # fmt: skip
_TABLES_OF_ALIASES: Final = (
    "limits.alias_min", "limits.alias_max", "limits.alias_day_max", "limits.alias_receive_max",
    "limits.alias_receive_day_max", "fees.alias",
)  # fmt: skip
