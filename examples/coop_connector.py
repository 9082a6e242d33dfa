"""A coop's connector in one file: coop 0985, on aiohttp and nothing of Chasqui (see README.md).

Its money is right because what it tells others is on its disk first, because only `end` moves a
balance, once for each order, and because it asks for what it does not know until it is told.
"""
# ruff: noqa: T201, TID251 - a program of its own prints, and takes the time where it needs it.

import argparse
import asyncio
import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

Json = dict[str, Any]
OWN, SOLES, BASE = "0985", "604", "/ssv2/payment-api/v3.5.0/"
FEE = 80  # The payer pays it beside the amount. All amounts are in cents.
ENDS = {"00": "FINAL", "05": "REJECTED"}  # No other answer is an outcome, and silence is none.
ANSWERS = {"AV2": "AV3", "CT2": "CT3", "CTC1": "CTC2", "ET1": "ET2"}
SCHEMA = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;  -- A commit is on the disk.
CREATE TABLE IF NOT EXISTS accounts (cci PRIMARY KEY, name, document, phone, balance);
INSERT OR IGNORE INTO accounts VALUES
  ('98599900000000010126', 'SOCIA CONECTOR EJEMPLO', '00000985', '900098501', 500000),
  ('98599900000000020222', 'SOCIO CONECTOR EJEMPLO', '00000986', '900098502', 500000);
CREATE TABLE IF NOT EXISTS orders (  -- message: the CT2 received, or the CT1 sent
  id PRIMARY KEY, role, state, cci, moves, message, sequence, instruction_id, reason_code,
  tries DEFAULT 0, due);"""
CHANGED = "sequence = (SELECT MAX(IFNULL(sequence, 0)) + 1 FROM orders)"  # Every change counts up.
MOVEMENTS = """SELECT sequence, role, state, cci, instruction_id, reason_code, 'PEN' AS currency,
  IFNULL(json_extract(message, '$.amount'), 0) AS amount, json_extract(message, '$.feeAmount') AS
  fee FROM orders WHERE sequence > ? ORDER BY sequence LIMIT 500"""
ACCOUNT = """SELECT *, (SELECT -TOTAL(moves) FROM orders WHERE cci = accounts.cci
  AND state = 'PENDING') AS held FROM accounts WHERE cci = ?"""


def stamp(kind: str) -> Json:
    """Return date and time as messages have them: in Lima, without a zone."""
    now = datetime.now(UTC) - timedelta(hours=5)
    return {f"{kind}Date": now.strftime("%Y%m%d"), f"{kind}Time": now.strftime("%H%M%S")}


def answer(reason: str | None) -> Json:
    """Return what an answer says beside the fields that it repeats."""
    return stamp("response") | {"responseCode": "05" if reason else "00", "reasonCode": reason}


class Coop:
    """The book, the messages that come in, and the orders that go out."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.switch, self.patience_s = options.switch, options.patience
        options.book.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(options.book)
        self.db.row_factory = lambda cursor, row: dict(zip((c[0] for c in cursor.description), row))
        self.db.executescript(SCHEMA)

    def one(self, sql, *values: object) -> Json:
        """Return one row of the book, empty if it has none."""
        return self.db.execute(sql, values).fetchone() or {}
