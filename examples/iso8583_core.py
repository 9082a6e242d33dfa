"""A coop's core on ISO 8583: it plays coop 0975, on sqlite3 and cryptography alone."""
# What it tells others is on its disk first; what it does not know it asks for until it is told.
# ruff: noqa: ASYNC110, T201, TID251, a program of its own prints, takes the time and waits as it likes

import argparse
import asyncio
import io
import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

Row = dict[str, Any]
Fields = dict[int, str]

SOLES, DNI, LIMA = "604", "2", -5
REDIAL_S = (0.5, 1.0, 2.0, 5.0, 10.0)
ECHOED = (3, 4, 7, 11, 12, 13, 32, 37, 41, 42, 49, 70, 102, 103)
SAME = (2, 3, 4, 49, 102, 103)  # What a repeat may not change.
# Element and its characters in ascii-1987, or the digits of the length that goes before it.
FIXED = """3:6 4:12 7:10 11:6 12:6 13:4 15:4 18:4 22:3 25:2 37:12 38:6 39:2 41:8 42:15 43:40
49:3 52:16 53:16 64:16 70:3 90:42 95:42 128:16"""
SIZES = {int(number): int(size) for number, size in re.findall(r"(\d+):(\d+)", FIXED)}
PREFIXES = {2: 2, 32: 2, 33: 2, 48: 3, 54: 3, 62: 3, 102: 2, 103: 2}

BOOK = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS accounts (
    cci TEXT PRIMARY KEY, name TEXT, document TEXT, phone TEXT, card TEXT, balance INTEGER);
CREATE TABLE IF NOT EXISTS numbers (id INTEGER PRIMARY KEY, stan INTEGER);
INSERT OR IGNORE INTO numbers VALUES (1, 0);
CREATE TABLE IF NOT EXISTS orders (
    role TEXT, acquirer TEXT, stan TEXT, rrn TEXT, day TEXT,
    cci TEXT, moves INTEGER, state TEXT, message TEXT, answer TEXT, heard INTEGER, due REAL,
    PRIMARY KEY (role, acquirer, stan, rrn, day));
"""
ENTER = "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)"
ORDER = "SELECT rowid, * FROM orders WHERE role = ? AND acquirer = ? AND stan = ? AND rrn = ?"
ACCOUNT = "SELECT * FROM accounts WHERE ? IN (cci, card, phone)"
SETTLE = "UPDATE orders SET state = ?, answer = ?, heard = heard + 1 WHERE rowid = ?"
UNDO = "UPDATE orders SET state = 'UNDONE', moves = ? WHERE rowid = ?"
REVERSE = "UPDATE orders SET state = 'REVERSING' WHERE rowid = ? AND state = 'PENDING'"
OVERDUE = """UPDATE orders SET due = ? + 10 WHERE rowid = (SELECT rowid FROM orders
WHERE role = 'debtor' AND state = ? AND due < ? ORDER BY due) RETURNING rowid, *"""
OPEN, GIVEN_BACK = ("PENDING", "REVERSING"), ("REJECTED", "UNDONE")
ANSWERS = {"0200": "0210", "0201": "0210", "0420": "0430", "0421": "0430", "0800": "0810"}


def put_tags(values: dict[str, str]) -> str:
    """Return private data: tag, length and value, one behind the other."""
    return "".join(f"{tag}{len(value):03}{value}" for tag, value in values.items())


def get_tags(data: str) -> dict[str, str]:
    """Take private data apart."""
    found = {}
    while data:
        size = int(data[2:5])
        found[data[:2]], data = data[5 : 5 + size], data[5 + size :]
    return found


def mac(key: bytes, data: bytes) -> str:
    """Return a message's code: the first half of its AES-CMAC."""
    cmac = CMAC(AES(key))
    cmac.update(data)
    return cmac.finalize()[:8].hex().upper()


def write(mti: str, fields: Fields, key: bytes) -> bytes:
    """Return a frame; without a key it has no code."""
    last = 128 if max(fields) > 64 else 64
    numbers = {*fields, *([1] if last > 64 else []), *([last] if key else [])}
    text = mti + f"{sum(1 << (last - number) for number in numbers):0{last // 4}X}"
    for number, value in sorted(fields.items()):
        text += f"{len(value):0{PREFIXES[number]}}{value}" if number in PREFIXES else value
    body = text.encode("ascii")
    body += mac(key, body).encode() if key else b""
    return len(body).to_bytes(2, "big") + body


async def receive(reader: asyncio.StreamReader, key: bytes) -> tuple[str, Fields]:
    """Take the next message apart; raise ValueError if it or its code does not hold."""
    message = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    text = io.StringIO(message.decode("ascii"))
    mti, bitmap = text.read(4), text.read(16)
    bitmap += text.read(16) if int(bitmap, 16) >> 63 else ""
    bits = f"{int(bitmap, 16):0{4 * len(bitmap)}b}"
    fields, covered = {}, 0
    for number in (place for place, bit in enumerate(bits, 1) if bit == "1" and place > 1):
        covered = text.tell()
        prefix = PREFIXES.get(number, 0)
        size = int(text.read(prefix)) if prefix else SIZES.get(number, 0)
        fields[number] = text.read(size)
        if not size or len(fields[number]) < size:
            raise ValueError(f"{mti}: DE{number} cannot be read")
    told = fields.pop(len(bits), "")
    if key and told != mac(key, message[:covered]):
        raise ValueError(f"{mti}: wrong MAC; check value of our key {mac(key, bytes(16))[:6]}")
    return mti, fields


class Book:
    """Accounts and orders in one file, which several of these programs share."""

    def __init__(self, path: Path, code: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(BOOK)
        for number in (101, 202):
            person = (f"SOCIA NUCLEO {number}", f"00000{number}", f"910000{number}")
            row = (cci(code, number), *person, f"97{code}0000000{number}", 500_000)
            self.db.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?, ?, ?, ?, ?)", row)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all of it one commit, which is on disk when this ends."""
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            yield

    def one(self, sql: str, *values: object) -> Row:
        """Return the first row that the book finds, or an empty one."""
        return dict(self.db.execute(sql, values).fetchone() or {})

    def move(self, account: str | None, cents: int) -> None:
        """Change a balance."""
        self.db.execute("UPDATE accounts SET balance = balance + ? WHERE cci = ?", (cents, account))

    def next_stan(self) -> str:
        """Return a number that none of our messages of this day has."""
        found = self.one("UPDATE numbers SET stan = stan % 999999 + 1 RETURNING stan")
        return f"{found['stan']:06}"

    def credit_or_debit(self, asked: Fields) -> Fields:
        """0200 of the clearing house: post it, once, and return what the answer says."""
        key = (asked[32], asked[11], asked[37])
        content = json.dumps([asked.get(number) for number in SAME])
        with self.transaction():
            if known := self.one(f"{ORDER} AND day = ?", "creditor", *key, asked[13]):
                if known["state"] in {"NEVER", "UNDONE"}:
                    return refusal("57", "DS24")
                if known["message"] != content:
                    return refusal("94", "AM05")
                return keys(known["answer"])
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
        if account and moves < 0 and account["balance"] + moves < 0:
            return {39: "51"}
        checks = {"14 AC01": account, "44 AC11": asked[49] == SOLES, "13 AM01": moves != 0}
        refused = next((code for code, holds in checks.items() if not holds), None)
        return refusal(*refused.split()) if refused else {39: "00", 38: self.next_stan()}

    def undo(self, asked: Fields) -> Fields:
        """0420 of the clearing house: take back what was posted, once, or see that it never is."""
        key = (asked[32], asked[90][4:10], asked[37])
        with self.transaction():
            known = self.one(f"{ORDER} AND day = ?", "creditor", *key, asked[13])
            if not known:
                never = (asked[13], None, 0, "NEVER", None, None, None)
                self.db.execute(ENTER, ("creditor", *key, *never))
            elif known["state"] == "POSTED":
                # A debit is undone but for the notes that were given out; a credit, whole.
                given = int(asked.get(95, "0" * 12)[:12]) if known["moves"] < 0 else 0
                self.move(known["cci"], -known["moves"] - given)
                self.db.execute(UNDO, (-given, known["rowid"]))
            return {39: "25" if known.get("state", "NEVER") == "NEVER" else "00"}

    def send(self, message: Fields, due: float) -> Row:
        """Write down what we are about to ask, and hold its money."""
        moves = -int(message[4]) - int(get_tags(message[48])["11"]) if 4 in message else 0
        with self.transaction():
            if self.one(ACCOUNT, message[102])["balance"] + moves < 0:
                raise ValueError("not enough funds")
            self.move(message[102], moves)
            row = (message[102], moves, "PENDING", json.dumps(message), None, due)
            key = (message[32], message[11], message[37])
            self.db.execute(ENTER, ("debtor", *key, message[13], *row))
            return self.one(ORDER, "debtor", *key)

    def settle(self, mti: str, told: Fields) -> None:
        """0210 or 0430 to us: give our order its outcome; the first one stands."""
        with self.transaction():
            order = self.one(ORDER, "debtor", told[32], told[11], told[37])
            if not order:
                return
            before = after = order["state"]
            if mti == "0430":
                after = {"00": "UNDONE", "25": "UNDONE", "21": "FINAL"}.get(told[39], before)
            elif told[39] == "00":
                after = "FINAL"
            elif before in OPEN and "01" in get_tags(told.get(62, "")):
                # Without an id the message was refused (58, 94, 96), not the order: ask on.
                after = "REJECTED"
            held = (after not in GIVEN_BACK) - (before not in GIVEN_BACK)
            self.move(order["cci"], held * order["moves"])
            self.db.execute(SETTLE, (after, json.dumps({"mti": mti, **told}), order["rowid"]))


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
        self.options, self.key = options, b""
        self.book = Book(options.book, options.code)
        self.writer: asyncio.StreamWriter | None = None  # Of the link we are signed on by.

    async def stay_linked(self) -> None:
        """Dial, sign on, answer; and dial again whenever the link drops."""
        tries = 0
        while True:
            try:
                reader, writer = await asyncio.open_connection(self.options.host, self.options.port)
                with closing(writer):
                    await self._sign_on(reader, writer)
                    self.writer, tries = writer, 0
                    await self._listen(reader, writer)
            except (OSError, EOFError, ValueError, InvalidUnwrap) as error:
                print("no link:", repr(error), flush=True, file=sys.stderr)
            self.writer = None
            await asyncio.sleep(REDIAL_S[min(tries, len(REDIAL_S) - 1)])
            tries += 1

    async def _sign_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.key = self.options.kek
        for function in ("101", "001") if self.options.kek else ("001",):
            asked = {7: stamp("%m%d%H%M%S"), 11: self.book.next_stan(), 32: self.options.code}
            writer.write(write("0800", {**asked, 70: function}, self.key))
            _, told = await receive(reader, self.key)
            if told[39] != "00":
                raise ValueError(f"0800/{function} was refused: {told}")
            if function == "101":
                wrapped = bytes.fromhex(get_tags(told[48])["40"])
                self.key = aes_key_unwrap(self.options.kek, wrapped)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print("signed on", flush=True, file=sys.stderr)
        while True:
            try:
                mti, asked = await receive(reader, self.key)
            except ValueError as error:
                # Silence settles it: a 96 of ours to a reversal would be a dispute.
                print("not read:", error, flush=True, file=sys.stderr)
                continue
            if mti in {"0210", "0430"}:
                self.book.settle(mti, asked)
            elif mti in ANSWERS:
                echoed = {number: asked[number] for number in ECHOED if number in asked}
                told = echoed | self._answer(mti, asked)
                writer.write(write(ANSWERS[mti], told, self.key))
                await writer.drain()

    def _answer(self, mti: str, asked: Fields) -> Fields:
        if mti == "0800":
            return {39: "00"}
        if mti in {"0420", "0421"}:
            return self.book.undo(asked)
        if asked[3][:2] in {"01", "21", "40"}:
            return self.book.credit_or_debit(asked)
        if asked[3][:2] != "33":
            return refusal("57", "FF07")
        holder = self.book.one(ACCOUNT, asked.get(103, ""))
        if not holder:
            return refusal("14", "AC01")
        tags = {"08": holder["name"], "15": DNI, "16": holder["document"]}
        return {39: "00", 48: put_tags(tags)}

    def compose(self) -> Fields:
        """Return what every request of a member's begins with; DE11 and DE37 are its own."""
        number, options = self.book.next_stan(), self.options
        payer = self.book.one(ACCOUNT, options.debtor)
        if not payer:
            raise ValueError("--from: no account of ours")
        tags = {"04": payer["name"], "05": DNI, "06": payer["document"], "11": f"{options.fee}"}
        fields = {7: stamp("%m%d%H%M%S"), 11: number, 12: stamp("%H%M%S", LIMA)}
        fields |= {13: stamp("%m%d", LIMA), 32: options.code, 37: stamp("%y%j%H")[1:] + number}
        fields |= {41: "CORE0001", 48: put_tags(tags), 49: SOLES}
        return fields | {102: payer["cci"], 103: options.send_to}

    async def ask(self, mti: str, order: Row) -> Row:
        """Send an order, or its reversal; return what the book says once there is an answer."""
        deadline = time.monotonic() + self.options.patience
        message = keys(order["message"])
        if mti in {"0420", "0421"}:
            original = f"0200{message[11]}{message[7]}{message[32]:0>11}{0:011}"
            message = {n: message[n] for n in (3, 4, 11, 13, 32, 37, 49)} | {90: original}
        while self.writer is None and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self.writer is not None:
            anew = {} if mti == "0200" else {7: stamp("%m%d%H%M%S")}
            self.writer.write(write(mti, message | anew, self.key))
        found = order
        while found["heard"] == order["heard"] and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            # Any of our links may get the answer; all of them write it into the book.
            found = self.book.one("SELECT rowid, * FROM orders WHERE rowid = ?", order["rowid"])
        return found

    async def pay(self, message: Fields) -> Row:
        """Send an order until its outcome is known; after too much silence take it back."""
        due = time.time() + self.options.patience * (self.options.repeats + 4)
        order = self.book.send(message, due)
        for mti in ("0200", *["0201"] * self.options.repeats):
            order = await self.ask(mti, order)
            if order["state"] not in OPEN:
                return order
            await asyncio.sleep(0.2)
        return await self.take_back(order) if 4 in message else order

    async def take_back(self, order: Row) -> Row:
        """Reverse an order; if it was posted it stays so."""
        self.book.db.execute(REVERSE, (order["rowid"],))
        for mti in ("0420", "0421", "0421"):
            heard, order = order["heard"], await self.ask(mti, order)
            if order["heard"] > heard:
                break
        return order

    async def resolve(self) -> None:
        """Ask about every order that was left without an outcome, also before a restart."""
        while True:
            for state, mti in zip(OPEN, ("0201", "0421"), strict=True):
                if order := self.book.one(OVERDUE, time.time(), state, time.time()):
                    await self.ask(mti, order)
            await asyncio.sleep(1)

    async def run(self) -> Row:
        """Do what the command line says."""
        link = asyncio.create_task(self.stay_linked())
        try:
            if self.options.command == "serve":
                await asyncio.gather(link, self.resolve())
            return await self._send()
        finally:
            link.cancel()

    async def _send(self) -> Row:
        options = self.options
        if options.command == "verify":
            return await self.pay(self.compose() | {3: "330000"})
        if options.command == "transfer":
            return await self.pay(self.compose() | {3: "400000", 4: f"{options.amount:012}"})
        order = self.book.one(ORDER, "debtor", options.code, options.stan, options.rrn)
        if not order:
            raise ValueError("no order of ours has this --stan and --rrn")
        if options.command == "repeat":
            return await self.ask("0201", order)
        return await self.take_back(order)


def cents(text: str) -> int:
    """Read an amount in soles."""
    typed = re.fullmatch(r"(\d{1,5})(?:\.(\d\d?))?", text, re.ASCII)
    if not (found := int(typed[1] + (typed[2] or "").ljust(2, "0")) if typed else 0):
        raise argparse.ArgumentTypeError(f"{text}: from 0.01, two decimals at most")
    return found


def read_options() -> argparse.Namespace:
    """Read the command line, and the key of the file or the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("serve", "verify", "transfer", "repeat", "reverse"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7083)
    parser.add_argument("--code", default="0975", help="which institution we are")
    parser.add_argument("--mac", choices=("none", "aes-cmac"), default="aes-cmac")
    parser.add_argument("--kek-file", type=Path, help="default: environment CHASQUI_KEK_ and code")
    parser.add_argument("--book", type=Path, default=Path(".chasqui/core.db"))
    parser.add_argument("--patience", type=float, default=12.0, help="seconds to wait")
    parser.add_argument("--repeats", type=int, default=2, help="before it is taken back")
    parser.add_argument("--from", dest="debtor", help="an account of ours; default: the first")
    parser.add_argument("--send-to", default="00299900000000020212", help="the payee's account")
    parser.add_argument("--amount", type=cents, default=100, help="in soles")
    parser.add_argument("--fee", type=int, default=80, help="between institutions, in cents")
    parser.add_argument("--stan", help="of the order to repeat or reverse")
    parser.add_argument("--rrn", help="of the order to repeat or reverse")
    options = parser.parse_args()
    options.debtor = options.debtor or cci(options.code, 101)
    options.kek = b""
    if options.mac == "aes-cmac":
        try:
            told = options.kek_file and options.kek_file.read_text()
            options.kek = bytes.fromhex(told or os.environ[f"CHASQUI_KEK_{options.code}"])
        except (OSError, KeyError, ValueError) as error:
            parser.error(f"no key-encrypting key: {error!r}")
    return options


def main() -> int:
    """Run one command; return its exit code."""
    options = read_options()
    core = Core(options)
    try:
        order = asyncio.run(core.run())
    except ValueError as error:  # Nothing was sent.
        print(error)
        return 2
    except KeyboardInterrupt:
        return 0
    told = json.loads(order["answer"] or "{}")
    print(json.dumps({name: order[name] for name in ("state", "stan", "rrn")} | {"answer": told}))
    return {"FINAL": 0, "PENDING": 3, "REVERSING": 3}.get(order["state"], 1)


if __name__ == "__main__":
    raise SystemExit(main())
