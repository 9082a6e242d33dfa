"""A coop's connector in one file. It plays coop 0985; it needs aiohttp, and nothing of Chasqui.

    python examples/coop_connector.py serve --port 9000 --switch http://127.0.0.1:7080
    python examples/coop_connector.py pay --to 97100220030040050213 --amount 25.50

Its money is right because of four rules. What it tells others is on its disk first. Only `end`
moves a balance, and once for each order. What it does not know it asks for until it is told, also
after a restart. And nothing is awaited between reading the book and writing it.
"""

import argparse
import asyncio
import json
import sqlite3
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

Json = dict[str, Any]
OWN, SOLES, BASE = "0985", "604", "/ssv2/payment-api/v3.5.0/"
LIMA = timezone(timedelta(hours=-5))  # Dates and times on the wire are Lima's, without a zone.
FEE = 80  # Cents that the payer pays beside the amount. Amounts on the wire are cents, too.
ENDS = {"00": "FINAL", "05": "REJECTED"}  # Nothing else that we may be told is an outcome.
CT3_ECHO = """debtorParticipantCode creditorParticipantCode terminalId retrievalReferenteNumber
    trace amount currency transactionReference feeAmount settlementDate transactionType debtorCCI
    creditorCCI creditorCreditCard sameCustomerFlag branchId instructionId""".split()
SCHEMA = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS accounts (cci TEXT PRIMARY KEY, name, document, phone, balance INTEGER);
INSERT OR IGNORE INTO accounts VALUES
  ('98599900000000010126', 'SOCIA CONECTOR EJEMPLO', '00000985', '900098501', 500000),
  ('98599900000000020222', 'SOCIO CONECTOR EJEMPLO', '00000986', '900098502', 500000);
CREATE TABLE IF NOT EXISTS orders (sequence INTEGER PRIMARY KEY AUTOINCREMENT, at, id UNIQUE, role,
  state, cci, amount INTEGER, fee INTEGER, currency, instruction_id, verification_id, reason_code,
  message, tries INTEGER, due REAL)"""
SAVE = """REPLACE INTO orders VALUES (NULL, CURRENT_TIMESTAMP, :id, :role, :state, :cci, :amount,
  :fee, 'PEN', :instruction_id, :verification_id, :reason_code, :message, :tries, :due)"""
ORDER, ACCOUNT = "SELECT * FROM orders WHERE id = ?", "SELECT * FROM accounts WHERE cci = ?"
HELD = "SELECT TOTAL(amount + fee) AS held FROM orders WHERE cci = ? AND state = 'PENDING'"
DUE = "SELECT * FROM orders WHERE due < ? ORDER BY due LIMIT 1"
MOVEMENTS = "SELECT * FROM orders WHERE sequence > ? ORDER BY sequence LIMIT ?"


def stamp(kind: str) -> Json:
    """Return date and time as messages have them."""
    now = datetime.now(LIMA)
    return {f"{kind}Date": now.strftime("%Y%m%d"), f"{kind}Time": now.strftime("%H%M%S")}


class Coop:
    """The book, the messages it takes, the orders it sends."""

    def __init__(self, book: Path, switch: str, patience_s: float) -> None:
        self.switch, self.patience_s = switch, patience_s
        book.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(book)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(SCHEMA)

    def one(self, sql: str, value: object) -> Json:
        """Return the first row that the book has, empty if it has none."""
        return dict(self.db.execute(sql, (value,)).fetchone() or {})

    def enter(self, order_id: str, role: str, state: str, message: Json, reason: object) -> None:
        """Write down an order received (HELD or REJECTED), or to be sent (PENDING)."""
        order = {"id": order_id, "role": role, "state": state, "message": json.dumps(message)}
        order |= {"cci": message.get(f"{role}CCI"), "reason_code": reason, "tries": 0}
        order |= {name: int(message.get(f"{name}Amount", 0)) for name in ("fee",)}
        with self.db:
            self.db.execute(SAVE, order)

    def end(self, order_id: str, told: Json) -> None:
        """Write the outcome that we were told, and the money it moves. Only the first one counts."""
        order = self.one(ORDER, order_id)
        if order["state"] not in ENDS.values():
            order |= {"state": ENDS[told["responseCode"]], "reason_code": told.get("reasonCode")}
            order |= {"instruction_id": told.get("instructionId"), "due": None}
            moves = (
                order["amount"] if order["role"] == "creditor" else -order["amount"] - order["fee"]
            )
            with self.db:  # One transaction: the order and the balance, or neither.
                self.db.execute(SAVE, order)
                if order["state"] == "FINAL":
                    sql = "UPDATE accounts SET balance = balance + ? WHERE cci = ?"
                    self.db.execute(sql, (moves, order["cci"]))

    async def take(self, request: web.Request) -> web.Response:
        """Answer a message of the clearing house."""
        name = request.match_info["name"]
        (message,) = (await request.json()).values()  # What fails here is a 500: no answer at all.
        takers = {"AV2": self.verify, "CT2": self.hold, "CT5": self.credit, "CTC1": self.cancel}
        if name in takers:
            return web.json_response(takers[name](message))
        if name == "ET1":
            return web.json_response({"ET2": message | stamp("response") | {"status": "00"}})
        print(name, message, flush=True)  # SNM notices and REJECT are for people to read.
        return web.Response()

    def fault(self, message: Json) -> str | None:
        """Return why a query or an order is refused, if it is."""
        checks = {
            "AC14": message["transactionType"] == "320",
            "FF02": message["creditorParticipantCode"] == OWN,
            "AC01": self.one(ACCOUNT, message["creditorCCI"]),
            "AC11": message["currency"] == SOLES,
            "AM01": int(message.get("amount", 1)) > 0,
        }
        return next((reason for reason, holds in checks.items() if not holds), None)

    def verify(self, query: Json) -> Json:
        """AV2: tell whose account it is."""
        reason = self.fault(query)
        found = {} if reason else self.one(ACCOUNT, query["creditorCCI"])
        same = "M" if found.get("document") == query["debtorId"] else "O"
        told = {"responseCode": "05" if reason else "00", "reasonCode": reason}
        told |= {"creditorName": found.get("name"), "creditorId": found.get("document")}
        told |= {"creditorIdCode": "2", "sameCustomerFlag": same} if found else {}
        return {"AV3": query | told}

    def hold(self, order: Json) -> Json:
        """CT2: authorise an order, and keep what it said; nothing is credited yet."""
        order_id = order["instructionId"]
        reason = "AM05" if self.one(ORDER, order_id) else self.fault(order)
        if reason != "AM05":
            self.enter(order_id, "creditor", "REJECTED" if reason else "HELD", order, reason)
        told = {"responseCode": "05" if reason else "00", "reasonCode": reason}
        return {"CT3": {name: order.get(name) for name in CT3_ECHO} | stamp("response") | told}

    def credit(self, told: Json) -> None:
        """CT5: the order is final, so credit it; one that differs is left to the enquiry."""
        order = self.one(ORDER, told["instructionId"])
        if order.get("state") not in ("HELD", "FINAL"):
            raise web.HTTPConflict(text="no such order is held")
        if (told["creditorCCI"], told["amount"]) == (order["cci"], order["amount"]):
            self.end(order["id"], told)

    def cancel(self, asked: Json) -> Json:
        """CTC1: give up a hold, never a credit; a CT2 that comes after it is refused."""
        order_id = asked["referenceInstructionId"]
        if not self.one(ORDER, order_id):
            self.enter(order_id, "creditor", "REJECTED", asked, None)
        self.end(order_id, {"responseCode": "05"})
        undone = self.one(ORDER, order_id)["state"] == "REJECTED"
        told = {"responseCode": "00"} if undone else {"responseCode": "05", "reasonCode": "FF07"}
        return {"CTC2": asked | stamp("response") | told}
