"""Who takes part: the participants as declared in ``fleet.toml``."""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Self

import msgspec
from msgspec import Meta, Struct

from scheme.errors import ConfigError
from scheme.ledger import DALE, NATIONAL
from scheme.limits import AGENT_DEVICES_MAX, AGENTS_MAX, ISO_LINKS_PER_PARTICIPANT_MAX
from scheme.profile import CURRENCIES
from scheme.wire.tin_json import DEFAULT_VARIANT, WireVariant

KINDS = ("bank", "caja", "coop", "emoney", "sponsor", "acquirer", "load", "test")
LANES = ("tin", "iso8583", "mqtt")
SINGLE_MESSAGE_LANES: Final = frozenset({"iso8583"})
"""Lanes whose creditors post on the order itself: the reservation goes to disk before it."""
ISO8583_SPECS: Final = ("ascii-1987", "packed-1987")
ISO8583_HEADERS: Final = ("binary-2", "ascii-4")
ISO8583_MACS: Final = ("none", "x9.19", "aes-cmac")
_TPDU_CHARACTERS: Final = 10
_BIN_CHARACTERS: Final = range(6, 9)
LEDGERS: Final = (NATIONAL, DALE)
"""Where a participant's position may be: at the clearing house, or in the coops' network."""
_CODE_CHARACTERS = 4
_HOUR_MS: Final = 3_600_000
Port = Annotated[int, Meta(ge=0, le=65535)]


class Behaviour(Struct, frozen=True, forbid_unknown_fields=True):
    """How a simulated participant behaves.

    Attributes:
        latency_ms_median: median of its log-normal answering time; 0 answers at once.
        latency_sigma: sigma of the underlying normal distribution.
    """

    latency_ms_median: Annotated[float, Meta(ge=0, le=_HOUR_MS)] = 20.0
    latency_sigma: Annotated[float, Meta(ge=0, le=10)] = 0.4


class Iso8583(Struct, frozen=True, forbid_unknown_fields=True):
    """How a participant of that lane speaks ISO 8583 (docs/wire/iso8583.md).

    Attributes:
        spec: table of its data elements and encodings.
        header: how the length of a frame is written: two bytes, or four ASCII digits.
        tpdu: ten hex digits before every message, or empty.
        mac: algorithm of DE64 and DE128, with a key exchanged under its key-encrypting key.
        links_max: connections it may have signed on at once.
        bins: first digits of the cards it issues, six to eight.
    """

    spec: str = "ascii-1987"
    header: str = "binary-2"
    tpdu: str = ""
    mac: str = "none"
    links_max: Annotated[int, Meta(ge=1, le=ISO_LINKS_PER_PARTICIPANT_MAX)] = 4
    bins: tuple[str, ...] = ()


class Participant(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One institution of the network.

    Attributes:
        code: four digits on the wire.
        name: shown in notices; simulated ones say so.
        kind: bank, caja, coop, emoney, sponsor, acquirer (a network of cash machines and agents),
            load (debtor agents of the load generator) or test (a connector under test).
        port: loopback port of a simulated participant.
        url: where a real one listens, e.g. ``http://127.0.0.1:9000``; empty: it receives nothing.
        control_url: its test hook, if it has one; simulated ones serve it on their port.
        simulated: played by our fleet process.
        jws: signed messages required both ways.
        certificate: PEM file of its signing certificate; empty: made by the demo PKI.
        directories: directory codes whose entries without a bank code stand for it.
        issues: directory code of the wallet it issues (0901 for Yape), or empty.
        customers: how many invented customers it has.
        ledger: ledger of its position: ``national``, or ``dale`` for a coop of the network.
        sponsor: settling participant that stands for a coop of the network, nationally.
        line: uncovered debit its sponsor grants it in the network's ledger, in minor units by
            currency; empty: the profile's.
        currencies: in which it holds a position.
        lane: wire on which it receives orders.
        iso8583: how it speaks, if that lane is ISO 8583.
        wire: the variant emitted to it; every variant is accepted from all.
        prefund: first prefund in minor units by currency; empty: the profile's.
    """

    code: str
    name: Annotated[str, Meta(min_length=1)]
    kind: str
    port: Port = 0
    url: str = ""
    control_url: str = ""
    simulated: bool = True
    jws: bool = False
    certificate: str = ""
    directories: tuple[str, ...] = ()
    issues: str = ""
    customers: Annotated[int, Meta(ge=0)] = 0
    ledger: str = NATIONAL
    sponsor: str = ""
    currencies: Annotated[tuple[str, ...], Meta(min_length=1)] = ("PEN", "USD")
    lane: str = "tin"
    signs_on: bool = True
    prefund: dict[str, Annotated[int, Meta(ge=0)]] = {}
    line: dict[str, Annotated[int, Meta(ge=0)]] = {}
    wire: WireVariant = DEFAULT_VARIANT
    behaviour: Behaviour = Behaviour()
    iso8583: Iso8583 = Iso8583()

    @property
    def is_single_message(self) -> bool:
        """Whether it posts on the order itself, so that nothing confirms it afterwards."""
        return self.lane in SINGLE_MESSAGE_LANES

    @property
    def listens(self) -> bool:
        """Whether anything can be told to it: over HTTP, or by the links of its lane."""
        return bool(self.base_url) or self.is_single_message

    @property
    def is_tiered(self) -> bool:
        """Whether it is a coop of the network, which a sponsor stands for nationally."""
        return self.ledger == DALE

    @property
    def base_url(self) -> str:
        """Where its wire is served, or empty if it receives nothing."""
        if self.url:
            return self.url.rstrip("/")
        return f"http://127.0.0.1:{self.port}" if self.port else ""

    @property
    def hook_url(self) -> str:
        """Where its control API (test hook) is served, or empty."""
        if self.control_url:
            return self.control_url.rstrip("/")
        return self.base_url if self.simulated else ""


class AgentGroup(Struct, frozen=True, forbid_unknown_fields=True):
    """Field agents of one institution, numbered from 1 (docs/agents.md).

    Attributes:
        institution: of lane ``mqtt``; its position pays and receives for all of them.
        agents: how many; devices: terminals of each.
    """

    institution: str
    agents: Annotated[int, Meta(ge=1, le=AGENTS_MAX)]
    devices: Annotated[int, Meta(ge=1, le=AGENT_DEVICES_MAX)] = 1

    def names(self) -> Iterator[str]:
        """Return the ids of their terminals, ``<institution>-<agent>-<device>``."""
        for agent in range(1, self.agents + 1):
            for device in range(1, self.devices + 1):
                yield f"{self.institution}-{agent:04d}-{device}"


class Fleet(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole ``fleet.toml``.

    Attributes:
        seed: seed of the invented customers.
        agents: field agents.
    """

    participant: tuple[Participant, ...]
    seed: int = 970
    agents: tuple[AgentGroup, ...] = ()

    @classmethod
    def parse(cls, text: str, *, origin: str = "fleet.toml") -> Self:
        """Read and check the participants.

        Raises:
            ConfigError: not TOML, an unknown key, or a value that cannot be; names the file, the
                participant, the key and the reason.
        """
        try:
            fleet = msgspec.convert(tomllib.loads(text), cls)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise ConfigError(f"{origin}: {error}") from error
        fleet.check(origin)
        return fleet

    def check(self, origin: str) -> None:
        """Raise ConfigError for what no file may say."""
        seen: set[str] = set()
        ports: dict[int, str] = {}
        bins: dict[str, str] = {}
        for one in self.participant:
            where = f"{origin}: participant {one.code!r}"
            for key, reason in (*_wrong_codes(one), *_wrong_choices(one), *_wrong_addresses(one)):
                raise ConfigError(f"{where}: {key}: {reason}")
            if one.code in seen:
                raise ConfigError(f"{where}: code: declared twice")
            seen.add(one.code)
            if one.port and ports.setdefault(one.port, one.code) != one.code:
                raise ConfigError(f"{where}: port: taken by {ports[one.port]}")
            for reason in _clashing_bins(one, bins):
                raise ConfigError(f"{where}: iso8583.bins: {reason}")
        members = self.by_code()
        for one in self.participant:
            for key, reason in _wrong_sponsor(one, members):
                raise ConfigError(f"{origin}: participant {one.code!r}: {key}: {reason}")
        for key, reason in _wrong_agents(self.agents, members):
            raise ConfigError(f"{origin}: agents: {key}: {reason}")

    def devices(self) -> Iterator[str]:
        """Return the ids of all terminals of field agents."""
        for group in self.agents:
            yield from group.names()

    def by_code(self) -> dict[str, Participant]:
        """Return the participants by code."""
        return {one.code: one for one in self.participant}


_Fault = tuple[str, str]
_SPOKEN_DEFAULT: Final = Iso8583()


def _wrong_codes(one: Participant) -> Iterator[_Fault]:
    codes = [("code", one.code), *(("directories", code) for code in one.directories)]
    codes += [
        (key, code) for key, code in (("issues", one.issues), ("sponsor", one.sponsor)) if code
    ]
    for key, code in codes:
        if len(code) != _CODE_CHARACTERS or not (code.isascii() and code.isdigit()):
            yield key, "four digits are needed"


def _wrong_choices(one: Participant) -> Iterator[_Fault]:
    chosen: list[tuple[str, str, tuple[str, ...]]] = [
        ("kind", one.kind, KINDS),
        ("lane", one.lane, LANES),
        ("ledger", one.ledger, LEDGERS),
        ("iso8583.spec", one.iso8583.spec, ISO8583_SPECS),
        ("iso8583.header", one.iso8583.header, ISO8583_HEADERS),
        ("iso8583.mac", one.iso8583.mac, ISO8583_MACS),
    ]
    chosen += [("currencies", currency, CURRENCIES) for currency in one.currencies]
    chosen += [("prefund", currency, one.currencies) for currency in one.prefund]
    chosen += [("line", currency, one.currencies) for currency in one.line]
    for key, value, choices in chosen:
        if value not in choices:
            yield key, f"one of {', '.join(choices)}"
    if len(set(one.currencies)) < len(one.currencies):
        yield "currencies", "named twice"
    yield from _wrong_iso8583(one)


def _wrong_iso8583(one: Participant) -> Iterator[_Fault]:
    spoken = one.iso8583
    if spoken != _SPOKEN_DEFAULT and one.lane != "iso8583":
        yield "iso8583", 'only with lane = "iso8583"'
    if spoken.tpdu and not (len(spoken.tpdu) == _TPDU_CHARACTERS and _is_hex(spoken.tpdu)):
        yield "iso8583.tpdu", "ten hex digits, or empty"
    for digits in spoken.bins:
        if len(digits) not in _BIN_CHARACTERS or not (digits.isascii() and digits.isdigit()):
            yield "iso8583.bins", "six to eight digits each"


def _clashing_bins(one: Participant, bins: dict[str, str]) -> Iterator[str]:
    """Note whose a participant's cards are; return why others have them already."""
    for digits in one.iso8583.bins:
        for other, code in bins.items():
            if code != one.code and _are_alike(digits, other):
                yield f"{digits} and {other} of {code} begin the same cards"
        bins[digits] = one.code


def _are_alike(digits: str, others: str) -> bool:
    """Tell whether a card may begin with both: then it would be anybody's guess who issued it."""
    return digits.startswith(others) or others.startswith(digits)


def _is_hex(text: str) -> bool:
    return all(one in "0123456789abcdefABCDEF" for one in text)


def _wrong_sponsor(one: Participant, members: Mapping[str, Participant]) -> Iterator[_Fault]:
    """Refuse a coop that nobody could settle for."""
    if not one.is_tiered:
        if one.line:
            yield "line", 'only a coop with ledger = "dale" has one'
        if one.sponsor:
            yield "sponsor", 'only a coop with ledger = "dale" has one'
        return
    sponsor = members.get(one.sponsor)
    if not one.sponsor:
        yield "sponsor", "a coop of the network needs one: the code of a settling participant"
    elif sponsor is None:
        yield "sponsor", f"{one.sponsor} is not in this file; name one that is, or bring it back"
    elif sponsor.is_tiered:
        yield "sponsor", f"{one.sponsor} is a coop of the network itself"
    else:
        for currency in one.currencies:
            if currency not in sponsor.currencies:
                yield "currencies", f"its sponsor {one.sponsor} holds no position in {currency}"


def _wrong_agents(
    groups: tuple[AgentGroup, ...], members: Mapping[str, Participant]
) -> Iterator[_Fault]:
    named: set[str] = set()
    for group in groups:
        institution = members.get(group.institution)
        if institution is None or institution.lane != "mqtt":
            yield "institution", f'{group.institution}: a participant with lane = "mqtt" is needed'
        if group.institution in named:
            yield "institution", f"{group.institution}: declared twice"
        named.add(group.institution)


def _wrong_addresses(one: Participant) -> Iterator[_Fault]:
    for key, url in (("url", one.url), ("control_url", one.control_url)):
        if url and not url.startswith(("http://", "https://")):
            yield key, "starts with http:// or https://"
    if one.simulated and one.url:
        yield "url", "give simulated = false with it"
