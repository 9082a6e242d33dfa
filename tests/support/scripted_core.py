"""An institution of the ISO 8583 lane that does what a test says, on real sockets.

It is a core, a network of machines, or both: it keeps a book of its own, posts on the 0200 and
undoes on the 0420, and before each answer does what the test has asked for: nothing, silence, a
cut link, ``kill -9`` of the switch. Its links live in threads, so that a test may block.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from runtime.clock import SystemClock
from runtime.iso8583_speech import (
    KEY_BYTES,
    KEY_CHANGE,
    SIGN_ON,
    Speech,
    brief_answer,
    network_request,
    transmitted,
)
from runtime.kek import kek_of
from scheme import cci
from scheme.clock import wire_date_time
from scheme.network import Iso8583
from scheme.wire.iso8583_framing import Deframer, Framing
from scheme.wire.iso8583_spec import Fields
from scheme.wire.iso8583_tlv import decode_tlv, encode_tlv

SPOKEN = Iso8583(mac="aes-cmac")
"""How an institution speaks unless told otherwise."""
WAIT_S = 20.0
_REDIAL_S = 0.02
_DONE, _REFUSED, _UNKNOWN, _NO_RECORD = "00", "05", "25", "57"
_PAYS_OUT = "01"
_RAIL = {"01": "-", "21": "+", "40": "+"}

Key = tuple[str, str, str, str]


class LinkLost(Exception):
    """The link ended before an answer came."""


class Heard(NamedTuple):
    """A request as it came, when."""

    at: float
    fields: Fields


class Posting(Struct):
    """One order of the core's own book; the amount is negative where it paid out."""

    subject: str
    minor: int
    undone: int = 0
    undo_code: str = ""


class Link:
    """A connection that is signed on."""

    def __init__(self, sock: socket.socket, spoken: Iso8583, kek: bytes) -> None:
        self.socket = sock
        self.speech = Speech(spoken.spec, spoken.mac, kek)
        self._framing = Framing(spoken.header, spoken.tpdu)
        self._deframer = Deframer(self._framing)
        self._lock = threading.Lock()

    def send(self, fields: Fields) -> None:
        """Write one message."""
        with self._lock:
            self.socket.sendall(self._framing.wrap(self.speech.write(fields)))

    def receive(self) -> list[bytes]:
        """Return what came; empty at the end."""
        while True:
            data = self.socket.recv(65_536)
            if not data:
                return []
            frames = self._deframer.feed(data)
            if frames:
                return frames

    def cut(self) -> None:
        """End it on the spot, as a killed process does."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


Action = Callable[[Fields, Link], Fields | None]
"""Told the core's answer and the link; returns what is really answered, if anything."""


def as_it_is(answer: Fields, _: Link) -> Fields:
    """Answer as the book says."""
    return answer


def silence(_: Fields, __: Link) -> None:
    """Answer nothing."""


def cut(_: Fields, link: Link) -> None:
    """End the link instead of answering."""
    link.cut()


def kind_of(fields: Mapping[str, str]) -> str:
    """Return what an action is asked for by: ``0200/40``, or ``0420`` for every reversal."""
    return f"0200/{fields['3'][:2]}" if fields["t"][:2] == "02" else f"{fields['t'][:2]}20"


class ScriptedCore:
    """One institution.

    Args:
        home: where its key-encrypting key lies.
        port: the switch's.
        spoken: as in the fleet file.

    Attributes:
        heard: every request that came, in order.
        book: what it has posted, by the request's key.
        strays: answers nobody waited for.
        faults: what broke in its threads.
        refuses: DE39 of the answer to every reversal of something posted; empty: it undoes.
    """

    def __init__(
        self, home: Path, code: str, port: int, *, spoken: Iso8583 = SPOKEN, links: int = 1
    ) -> None:
        self.code = code
        self.heard: list[Heard] = []
        self.book: dict[Key, Posting] = {}
        self.strays: list[Fields] = []
        self.faults: list[Exception] = []
        self.refuses = ""
        self._buried: set[Key] = set()
        self._kek = kek_of(home, code, KEY_BYTES[spoken.mac])
        self._spoken = spoken
        self._port = port
        self._clock = SystemClock()
        self._scripts: dict[str, deque[Action]] = {}
        self._usual: dict[str, Action] = {}
        self._waiting: dict[tuple[str, ...], tuple[Future[Fields], Link]] = {}
        self._links: list[Link] = []
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._is_away = False
        self._is_over = False
        self._stan = 0
        self._threads = [
            threading.Thread(target=self._keep, name=f"core-{code}-{number}", daemon=True)
            for number in range(links)
        ]
        for thread in self._threads:
            thread.start()

    # --- what a test asks for

    def once(self, kind: str, action: Action) -> None:
        """Do this at the next request of a kind; several queue up."""
        with self._lock:
            self._scripts.setdefault(kind, deque()).append(action)

    def always(self, kind: str, action: Action) -> None:
        """Do this at every request of a kind for which nothing else is asked."""
        self._usual[kind] = action

    def clear(self) -> None:
        """Answer as the book says again."""
        with self._lock:
            self._scripts.clear()
            self._usual.clear()

    def hang_up(self) -> None:
        """End all links and dial no more, until ``dial``."""
        self._is_away = True
        for link in list(self._links):
            link.cut()
        self.wait(lambda: not self._links)

    def dial_later(self) -> None:
        """Have links again as soon as they can be had."""
        self._is_away = False

    def dial(self) -> None:
        """Have links again."""
        self.dial_later()
        self.signed_on()

    def signed_on(self) -> None:
        """Wait until all links are signed on."""
        self.wait(lambda: len(self._links) == len(self._threads))

    def wait(self, true: Callable[[], object]) -> None:
        """Wait until something about it is so."""
        with self._change:
            assert self._change.wait_for(true, WAIT_S), (self.code, self.types())

    def until(self, kind: str, count: int = 1) -> None:
        """Wait until so many requests of a kind have come."""
        self.wait(lambda: self.count(kind) >= count)

    def count(self, kind: str) -> int:
        """Return how many requests of a kind have come."""
        return sum(kind_of(one.fields) == kind for one in self.heard)

    def types(self) -> list[str]:
        """Return the types of what came, queries left out."""
        return [one.fields["t"] for one in self.heard if kind_of(one.fields) != "0200/33"]

    @property
    def balance(self) -> int:
        """What its members hold more than at the start."""
        return sum(one.minor - one.undone for one in self.book.values())

    def stands(self) -> dict[str, int]:
        """Return what stands in its book, by the clearing house's id."""
        return {
            one.subject: one.minor - one.undone
            for one in self.book.values()
            if one.minor != one.undone
        }

    # --- its own requests

    def stan(self) -> int:
        """Return the next number of its own."""
        with self._lock:
            self._stan += 1
            return self._stan

    def order(self, fields: Fields) -> Future[Fields]:
        """Send a request; the answer comes later.

        Raises:
            LinkLost: there is no link; whether it left is not known.
        """
        answer: Future[Fields] = Future()
        with self._lock:
            if not self._links:
                raise LinkLost("none")
            link = self._links[int(fields["11"]) % len(self._links)]
            self._waiting[_answered_by(fields)] = (answer, link)
        try:
            link.send(fields)
        except OSError as error:
            with self._lock:
                self._waiting.pop(_answered_by(fields), None)
            raise LinkLost(str(error)) from error
        return answer

    def ask(self, fields: Fields, wait_s: float = WAIT_S) -> Fields:
        """Send a request and return its answer."""
        return self.order(fields).result(wait_s)

    def say(self, fields: Fields) -> None:
        """Send a message that waits for nothing."""
        self._links[0].send(fields)

    def transfer(self, creditor: str, minor: int, **changes: str) -> Fields:
        """Return the 0200 of a member's transfer to an account of another core."""
        return self._request("40", minor) | {
            "48": encode_tlv(
                {"04": "SOCIA UNO DEMO", "05": "2", "06": "00000101", "09": "N", "12": "M"}
            ),
            "102": account(self.code),
            "103": account(creditor),
            **{name.removeprefix("e"): value for name, value in changes.items()},
        }

    def withdrawal(self, minor: int, *, phone: str = "", code: str = "", card: str = "") -> Fields:
        """Return the 0200 of a machine: by card, or by phone and one-time code."""
        fields = self._request("01", minor) | {"18": "6011"}
        if card:
            return fields | {"2": card}
        return fields | {"48": encode_tlv({"31": phone, "30": code})}

    def _request(self, kind: str, minor: int) -> Fields:
        number = self.stan()
        now = self._clock.now()
        date, local = wire_date_time(now)
        return {
            "t": "0200",
            "3": f"{kind}0000",
            "4": f"{minor:012}",
            "7": transmitted(now),
            "11": f"{number:06}",
            "12": local,
            "13": date[4:],
            "32": self.code,
            "37": f"{self.code}{number:08}",
            "41": "SIM00001",
            "49": "604",
        }

    # --- links

    def stop(self) -> None:
        """Hang up for good."""
        self._is_over = True
        for link in list(self._links):
            link.cut()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _keep(self) -> None:
        while not self._is_over:
            if not self._is_away:
                try:
                    self._hold()
                except (OSError, LinkLost):
                    pass  # The switch is away; it will be back.
                except Exception as fault:
                    # The thread's root: the test is told.
                    self.faults.append(fault)
                    raise
            time.sleep(_REDIAL_S)

    def _hold(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), 5.0) as sock:
            link = Link(sock, self._spoken, self._kek)
            self._sign_on(link)
            sock.settimeout(None)
            with self._change:
                self._links.append(link)
                self._change.notify_all()
            try:
                while frames := link.receive():
                    for body in frames:
                        self._take(link, link.speech.read(body))
            finally:
                self._lose(link)

    def _sign_on(self, link: Link) -> None:
        for function in (KEY_CHANGE, SIGN_ON):
            now = self._clock.now()
            link.send(network_request(function, stan=self.stan(), now=now, acquirer=self.code))
            frames = link.receive()
            if not frames:
                raise LinkLost("no answer")
            answer = link.speech.read(frames[0])
            assert answer["39"] == _DONE, answer
            if function == KEY_CHANGE:
                link.speech.adopt(link.speech.unwrapped(answer))
            for body in frames[1:]:
                self._take(link, link.speech.read(body))

    def _lose(self, link: Link) -> None:
        with self._change:
            self._links.remove(link)
            for key, (answer, one) in list(self._waiting.items()):
                if one is link:
                    del self._waiting[key]
                    answer.set_exception(LinkLost(key))
            self._change.notify_all()

    def _take(self, link: Link, fields: Fields) -> None:
        if fields["t"][2] in "13":
            with self._change:
                waiting = self._waiting.pop(_answered_by(fields), None)
                if waiting is None:
                    self.strays.append(fields)
                self._change.notify_all()
            if waiting is not None:
                waiting[0].set_result(fields)
            return
        if fields["t"] == "0800":
            link.send(brief_answer(fields, _DONE))
            return
        with self._change:
            answer = self._answer(fields)
            self.heard.append(Heard(time.monotonic(), fields))
            kind = kind_of(fields)
            queue = self._scripts.get(kind)
            action = queue.popleft() if queue else self._usual.get(kind, as_it_is)
            said = action(answer, link)
            self._change.notify_all()
        if said is not None:
            with suppress(OSError):
                link.send(said)

    # --- the book

    def _answer(self, fields: Fields) -> Fields:
        if fields["t"][:2] == "04":
            return brief_answer(fields, self._undo(fields))
        kind = fields["3"][:2]
        if kind not in _RAIL:
            holder = encode_tlv({"08": "SOCIO DOS DEMO", "13": "O", "15": "2", "16": "00000202"})
            return brief_answer(fields, _DONE) | {"48": holder}
        key = (fields["32"], fields["11"], fields["37"], fields["13"])
        if key in self._buried:
            return brief_answer(fields, _NO_RECORD)
        assert key not in self.book, f"asked twice: {key}"
        subject = decode_tlv(fields["62"], 62)["01"]
        minor = int(fields["4"])
        self.book[key] = Posting(subject, -minor if kind == _PAYS_OUT else minor)
        return brief_answer(fields, _DONE) | {"38": fields["11"]}

    def _undo(self, fields: Fields) -> str:
        original = fields["90"]
        assert original[:4] == "0200", original
        key = (fields["32"], original[4:10], fields["37"], fields["13"])
        posting = self.book.get(key)
        if posting is None:
            self._buried.add(key)
            return _UNKNOWN
        if not posting.undo_code:
            posting.undo_code = self.refuses or _DONE
            if not self.refuses:
                kept = int(fields.get("95", "0")[:12])
                posting.undone = posting.minor - (kept if posting.minor > 0 else -kept)
        return posting.undo_code


def account(code: str) -> str:
    """Return the account that a scripted core's member has."""
    return cci.compose(code[1:], "001", f"{int(code):012}")


def repeat_of(fields: Fields) -> Fields:
    """Return the 0201 of a request."""
    return fields | {"t": "0201"}


def reversal_of(fields: Fields, *, dispensed: int | None = None, repeated: bool = False) -> Fields:
    """Return the 0420 or 0421 of a request of one's own."""
    original = f"0200{fields['11']}{fields['7']}{fields['32']:0>11}{0:011}"
    kept = {key: value for key, value in fields.items() if key not in ("48", "52")}
    said = kept | {"t": "0421" if repeated else "0420", "90": original}
    return said if dispensed is None else said | {"95": f"{dispensed:012}{0:030}"}


def private(fields: Fields) -> Mapping[str, str]:
    """Return the tags of DE62."""
    return decode_tlv(fields.get("62", ""), 62)


def _answered_by(fields: Fields) -> tuple[str, ...]:
    return (fields["t"][:2], fields["11"], fields.get("37", ""), fields["32"])
