"""A coop's core on ISO 8583: it plays coop 0975, on sqlite3 and cryptography alone."""
# What it tells others is on its disk first; what it does not know it asks for until it is told.
# ruff: noqa: ASYNC110, T201, TID251, a program of its own prints, takes the time and waits as it likes

import argparse
import asyncio
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

Row = dict[str, Any]
Fields = dict[int, str]
Tags = dict[str, str]

HOUSE, SOLES, LIMIT = "9999", "604", 30_000_00
REDIAL_S = (0.5, 1.0, 2.0, 5.0, 10.0)
ECHOED = (3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 70, 102, 103)
SAME = (2, 3, 4, 49, 102, 103)  # What a repeat may not change.
# Element, kind, length; each L is a digit of the length that goes before it.
ELEMENTS = """2n19LL 3n6 4n12 7n10 11n6 12n6 13n4 15n4 18n4 22n3 25n2 32n11LL 33n11LL 37an12 38an6
39an2 41ans8 42ans15 43ans40 48ans999LLL 49n3 52b8 53n16 54an120LLL 62ans999LLL 64b8 70n3 90n42
95an42 102ans28LL 103ans28LL 128b8"""
TABLE = {
    int(number): (kind, int(size), len(prefix))
    for number, kind, size, prefix in re.findall(r"(\d+)(n|ans|an|b)(\d+)(L*)", ELEMENTS)
}

BOOK = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS accounts (
    cci TEXT PRIMARY KEY, name TEXT, document TEXT, phone TEXT, card TEXT, balance INTEGER);
CREATE TABLE IF NOT EXISTS numbers (stan INTEGER);
CREATE TABLE IF NOT EXISTS orders (
    role TEXT, acquirer TEXT, stan TEXT, rrn TEXT, day TEXT,
    cci TEXT, moves INTEGER, state TEXT, message TEXT, answer TEXT, heard INTEGER, due REAL,
    PRIMARY KEY (role, acquirer, stan, rrn, day));
"""
ENTER = "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)"
ORDER = "SELECT rowid, * FROM orders WHERE role = ? AND acquirer = ? AND stan = ? AND rrn = ?"
ACCOUNT = "SELECT * FROM accounts WHERE ? IN (cci, card, phone)"
OPEN = ("PENDING", "REVERSING")


def put_tags(values: Tags) -> str:
    """Return private data: tag, length and value, one behind the other."""
    return "".join(f"{tag}{len(value):03}{value}" for tag, value in values.items())


def get_tags(data: str) -> Tags:
    """Take private data apart."""
    found = {}
    while data:
        size = int(data[2:5])
        found[data[:2]], data = data[5 : 5 + size], data[5 + size :]
    return found


class Cmac:
    """AES-CMAC, and keys under a key by RFC 3394."""

    @staticmethod
    def code(key: bytes, data: bytes) -> bytes:
        """Return the message's code."""
        cmac = CMAC(AES(key))
        cmac.update(data)
        return cmac.finalize()[:8]

    @staticmethod
    def unwrap(kek: bytes, wrapped: bytes) -> bytes:
        """Return the session key."""
        try:
            return aes_key_unwrap(kek, wrapped)
        except InvalidUnwrap as error:
            raise ValueError("the session key is under another key than ours") from error

    @classmethod
    def check_value(cls, key: bytes) -> str:
        """Return what two sides may compare without telling their key."""
        return cls.code(key, bytes(16))[:3].hex().upper()


class RetailMac:
    """ANSI X9.19, and keys under a key by triple DES in ECB."""

    @staticmethod
    def code(key: bytes, data: bytes) -> bytes:
        """Return the message's code."""
        left, right = key[:8], key[8:]
        data += bytes(-len(data) % 8)
        single = Cipher(TripleDES(left * 3), modes.CBC(bytes(8))).encryptor()
        before = (bytes(8) + single.update(data[:-8]))[-8:]
        # The last block under left, right, left is what the standard's three last steps make.
        last = Cipher(TripleDES(left + right + left), modes.CBC(before)).encryptor()
        return last.update(data[-8:])

    @staticmethod
    def unwrap(kek: bytes, wrapped: bytes) -> bytes:
        """Return the session key."""
        return Cipher(TripleDES(kek + kek[:8]), modes.ECB()).decryptor().update(wrapped)  # noqa: S305

    @staticmethod
    def check_value(key: bytes) -> str:
        """Return what two sides may compare without telling their key."""
        triple = Cipher(TripleDES(key + key[:8]), modes.ECB()).encryptor()  # noqa: S305
        return triple.update(bytes(8))[:3].hex().upper()


MACS: dict[str, Any] = {"none": None, "aes-cmac": Cmac, "x9.19": RetailMac}


class Wire:
    """How messages become frames, and frames messages."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.packed = options.spec == "packed-1987"
        self.long_header = options.header == "ascii-4"
        self.tpdu = bytes.fromhex(options.tpdu)
        self.mac = MACS[options.mac]

    def write(self, mti: str, fields: Fields, key: bytes) -> bytes:
        """Return a frame; without a key it has no code."""
        above = max(fields) > 64
        last = 128 if above else 64
        bits = sum(1 << (last - number) for number in (*fields, *([last] if key else [])))
        bits |= 1 << 127 if above else 0
        body = self._digits(mti) + self._bytes(bits.to_bytes(last // 8, "big"))
        for number, value in sorted(fields.items()):
            body += self._element(number, value)
        body += self._bytes(self.mac.code(key, body)) if key else b""
        body = self.tpdu + body
        size = len(body)
        return (b"%04d" % size if self.long_header else size.to_bytes(2, "big")) + body

    def _digits(self, text: str) -> bytes:
        return bytes.fromhex(text.zfill(len(text) + len(text) % 2)) if self.packed else text.encode()

    def _bytes(self, data: bytes) -> bytes:
        return data if self.packed else data.hex().upper().encode()

    def _element(self, number: int, value: str) -> bytes:
        kind, _, prefix = TABLE[number]
        size = self._digits(f"{len(value):0{prefix}}") if prefix else b""
        if kind == "b":
            return self._bytes(bytes.fromhex(value))
        return size + (self._digits(value) if kind == "n" else value.encode("ascii"))

    async def frame(self, reader: asyncio.StreamReader) -> bytes:
        """Return the next message without header and TPDU."""
        header = await reader.readexactly(4 if self.long_header else 2)
        size = int(header) if self.long_header else int.from_bytes(header, "big")
        return (await reader.readexactly(size))[len(self.tpdu) :]

    def read(self, message: bytes, key: bytes) -> tuple[str, Fields]:
        """Take a message apart; raise ValueError if it is broken or its code does not hold."""
        at = 0

        def take(kind: str, size: int) -> str:
            nonlocal at
            halves = self.packed and kind == "n"
            width = (size + 1) // 2 if halves else size
            width *= 2 if kind == "b" and not self.packed else 1
            part, at = message[at : at + width], at + width
            if len(part) < width:
                raise ValueError("the message ends too early")
            text = part.hex().upper() if halves or (kind == "b" and self.packed) else part.decode()
            return text[-size:] if kind == "n" else text

        mti, bitmap = take("n", 4), take("b", 8)
        bitmap += take("b", 8) if int(bitmap, 16) >> 63 else ""
        bits = f"{int(bitmap, 16):0{4 * len(bitmap)}b}"
        fields, covered = {}, 0
        for number in (place for place, bit in enumerate(bits, 1) if bit == "1" and place > 1):
            kind, size, prefix = TABLE.get(number, ("", 0, 0))
            if not kind:
                raise ValueError(f"DE{number} is not of this profile")
            covered = at
            fields[number] = take(kind, int(take("n", prefix)) if prefix else size)
        told = fields.pop(128 if len(bits) > 64 else 64, "")
        if key and told != self.mac.code(key, message[:covered]).hex().upper():
            raise ValueError(f"{mti}: the MAC does not hold under {self.mac.check_value(key)}")
        return mti, fields


class Book:
    """Accounts and orders in one file, which several of these programs share."""

    def __init__(self, path: Path, code: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(BOOK)
        with self.transaction():
            if not self.rows("SELECT * FROM numbers"):
                self.db.execute("INSERT INTO numbers VALUES (0)")
                for number in (101, 202):
                    card = f"97{code}0000000{number}"
                    person = (f"SOCIA NUCLEO {number}", f"00000{number}", f"910000{number}")
                    values = (cci(code, number), *person, card, 500_000)
                    self.db.execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)", values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all of it one commit, which is on disk when this ends."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def rows(self, sql: str, *values: object) -> list[Row]:
        """Return what the book says."""
        return [dict(row) for row in self.db.execute(sql, values)]

    def one(self, sql: str, *values: object) -> Row:
        """Return the first row, or an empty one."""
        return next(iter(self.rows(sql, *values)), {})

    def move(self, account: str | None, cents: int) -> None:
        """Change a balance."""
        self.db.execute("UPDATE accounts SET balance = balance + ? WHERE cci = ?", (cents, account))

    def next_stan(self) -> str:
        """Return a number that none of our messages of this day has."""
        return f"{self.one('UPDATE numbers SET stan = stan % 999999 + 1 RETURNING stan')['stan']:06}"

    def credit_or_debit(self, asked: Fields) -> Fields:
        """0200 of the clearing house: post it, once, and return what the answer says."""
        key = (asked[32], asked[11], asked[37])
        content = json.dumps([asked.get(number) for number in SAME])
        with self.transaction():
            if known := self.one(f"{ORDER} AND day = ?", "creditor", *key, asked[13]):
                if known["state"] in {"NEVER", "UNDONE"}:
                    return refusal("57", "DS24")
                return keys(known["answer"]) if known["message"] == content else refusal("94", "AM05")
            sign = -1 if asked[3].startswith("01") else 1
            place = get_tags(asked.get(48, "")).get("31", "")
            place = asked.get(102, asked.get(2, place)) if sign < 0 else asked.get(103, "")
            account, cents = self.one(ACCOUNT, place), int(asked[4])
            told = self._verdict(account, asked, sign * cents)
            state, moves = ("POSTED", sign * cents) if told[39] == "00" else ("REFUSED", 0)
            self.move(account.get("cci"), moves)
            row = (account.get("cci"), moves, state, content, json.dumps(told), None)
            self.db.execute(ENTER, ("creditor", *key, asked[13], *row))
            return told

    def _verdict(self, account: Row, asked: Fields, moves: int) -> Fields:
        if not account:
            return refusal("14", "AC01")
        if asked[49] != SOLES:
            return refusal("44", "AC11")
        if moves == 0:
            return refusal("13", "AM01")
        if moves < 0 and account["balance"] + moves < 0:
            return {39: "51"}
        return {39: "00", 38: self.next_stan()}

    def undo(self, asked: Fields) -> Fields:
        """0420 of the clearing house: take back what was posted, once, or see that it never is."""
        key = (asked[32], asked[90][4:10], asked[37])
        with self.transaction():
            known = self.one(f"{ORDER} AND day = ?", "creditor", *key, asked[13])
            if not known:
                row = (None, 0, "NEVER", None, None, None)
                self.db.execute(ENTER, ("creditor", *key, asked[13], *row))
            elif known["state"] == "POSTED":
                # A debit is undone but for the notes that were given out; a credit, whole.
                given = int(asked.get(95, "0" * 12)[:12]) if known["moves"] < 0 else 0
                self.move(known["cci"], -known["moves"] - given)
                self.db.execute(
                    "UPDATE orders SET state = 'UNDONE', moves = ? WHERE rowid = ?",
                    (-given, known["rowid"]),
                )
            return {39: "25" if known.get("state", "NEVER") == "NEVER" else "00"}

    def send(self, code: str, account: Row, message: Fields, due: float) -> Row:
        """Write down what we are about to ask, and hold its money."""
        moves = -int(message.get(4, "0"))
        with self.transaction():
            if self.one(ACCOUNT, account["cci"])["balance"] + moves < 0:
                raise ValueError("not enough funds")
            self.move(account["cci"], moves)
            row = (account["cci"], moves, "PENDING", json.dumps(message), None, due)
            key = (code, message[11], message[37])
            self.db.execute(ENTER, ("debtor", *key, message[13], *row))
            return self.one(ORDER, "debtor", *key)

    def settle(self, mti: str, told: Fields) -> None:
        """0210 or 0430 to us: give our order its outcome; the first one stands."""
        with self.transaction():
            order = self.one(ORDER, "debtor", told[32], told[11], told[37])
            if not order:
                return
            ends = {"00": "UNDONE", "25": "UNDONE", "21": "FINAL"}
            state: str | None = ends.get(told[39])
            if mti == "0210":
                reason = get_tags(told.get(62, "")).get("03")
                # Without a reason nothing was decided: the same request is asked again.
                state = "FINAL" if told[39] == "00" else "REJECTED" if reason else None
            if order["state"] not in OPEN or state is None:
                state = order["state"]
            elif state != "FINAL":
                self.move(order["cci"], -order["moves"])
            self.db.execute(
                "UPDATE orders SET state = ?, answer = ?, heard = heard + 1 WHERE rowid = ?",
                (state, json.dumps({"mti": mti, **told}), order["rowid"]),
            )


def cci(code: str, number: int) -> str:
    """Return an invented account with its check digits."""
    parts = (f"{code[1:]}001", f"{number:012}")
    sums = [sum(sum(divmod(int(d) * (1 + i % 2), 10)) for i, d in enumerate(p)) for p in parts]
    return "".join(parts) + "".join(str(-one % 10) for one in sums)


def keys(stored: str) -> Fields:
    """Return the elements of a message as the book keeps it."""
    return {int(name): value for name, value in json.loads(stored).items() if name != "mti"}


def refusal(code: str, reason: str) -> Fields:
    """Return what a refusal says."""
    return {39: code, 62: put_tags({"03": reason})}


def stamp(layout: str, hours: int = 0) -> str:
    """Return date and time: UTC's, or so many hours off it."""
    return time.strftime(layout, time.gmtime(time.time() + hours * 3600))


class Core:
    """A link to the clearing house, what comes in on it, and what goes out."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.wire = options, Wire(options)
        self.book = Book(options.book, options.code)
        self.kek = options.kek if self.wire.mac else b""
        self.key = b""
        self.writer: asyncio.StreamWriter | None = None  # Of the link we are signed on by.

    async def stay_linked(self) -> None:
        """Dial, sign on, answer; and dial again whenever the link drops."""
        tries = 0
        while True:
            with suppress(OSError, EOFError):  # A refused call and a dropped link are alike.
                reader, writer = await asyncio.open_connection(self.options.host, self.options.port)
                with closing(writer):
                    await self._sign_on(reader, writer)
                    self.writer, tries = writer, 0
                    await self._listen(reader, writer)
            self.writer = None
            await asyncio.sleep(REDIAL_S[min(tries, len(REDIAL_S) - 1)])
            tries += 1

    async def _sign_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.key = self.kek
        for function in ("101", "001") if self.kek else ("001",):
            asked = {7: stamp("%m%d%H%M%S"), 11: self.book.next_stan(), 32: self.options.code}
            writer.write(self.wire.write("0800", asked | {70: function}, self.key))
            _, told = self.wire.read(await self.wire.frame(reader), self.key)
            if told[39] != "00":
                raise ValueError(f"0800/{function} was refused: {told}")
            if function == "101":
                tags = get_tags(told[48])
                self.key = self.wire.mac.unwrap(self.kek, bytes.fromhex(tags["40"]))
                if self.wire.mac.check_value(self.key) != tags["41"]:
                    raise ValueError("the session key has another check value")

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print("signed on", flush=True)
        while True:
            frame = await self.wire.frame(reader)
            try:
                mti, asked = self.wire.read(frame, self.key)
            except ValueError as error:
                # Silence settles it: a 96 of ours to a reversal would be a dispute.
                print("not read:", error, flush=True)
                continue
            if mti in {"0210", "0430"}:
                self.book.settle(mti, asked)
            elif told := self._answer(mti, asked):
                echoed = {number: asked[number] for number in ECHOED if number in asked}
                writer.write(self.wire.write(f"{mti[:2]}{mti[2]}0"[:2] + ANSWERS[mti], echoed | told, self.key))
                await writer.drain()

    def _answer(self, mti: str, asked: Fields) -> Fields:
        return {}
