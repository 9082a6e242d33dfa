"""A coop's connector: it plays coop 0985, on aiohttp and sqlite3, with nothing of Chasqui."""
# What it tells others is on its disk first; what it does not know it asks for until it is told.
# ruff: noqa: ASYNC110, T201, TID251, a program of its own prints, takes the time and waits as it likes

import argparse
import asyncio
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientTimeout, request, web

Json = dict[str, Any]
OWN, SOLES, LIMIT, BASE = "0985", "604", 30_000_00, "/ssv2/payment-api/v3.5.0/"
ENDS = {"00": "FINAL", "05": "REJECTED"}  # No other answer is an outcome, nor is silence.
TERMS = {"debtorParticipantCode": OWN, "transactionType": "320", "channel": "91"}
TERMS |= {"currency": SOLES, "terminalId": "EXAMPLE1", "debtorTypeOfPerson": "N"}
FEE: Json = {"feeAmount": 80, "feeCode": "0101", "applicationCriteria": "M", "purposeCode": "OTHR"}
ORDER, ACCOUNT = "SELECT * FROM orders WHERE id = ?", "SELECT * FROM money WHERE cci = ?"
PAYER = "SELECT debtorName, debtorId, debtorIdCode FROM payers WHERE debtorCCI = ?"
PAYEE = "SELECT creditorName, creditorId, creditorIdCode, 'O' AS sameCustomerFlag FROM payees"
ENTER = "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, ?, NULL, ?, 0, ?)"
ASKED = "UPDATE orders SET tries = tries + 1, due = MAX(due, ?) + ? WHERE id = ?"
END = "UPDATE orders SET state = ?, reason_code = ?, instruction_id = ?, due = NULL WHERE id = ?"


def stamp(kind: str) -> Json:
    """Return date and time as messages have them: Lima's, without a zone."""
    day, hour = time.strftime("%Y%m%d %H%M%S", time.gmtime(time.time() - 5 * 3600)).split()
    return {f"{kind}Date": day, f"{kind}Time": hour}


def answer(reason: str | None) -> Json:
    """Return what an answer says beside the fields that it repeats."""
    return stamp("response") | {"responseCode": "05" if reason else "00", "reasonCode": reason}


class Coop:
    """The book, what comes in from the clearing house, and what goes out to it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.switch, self.patience_s = options.switch, options.patience
        options.book.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(options.book, isolation_level=None)  # A statement, a commit.
        self.db.row_factory = sqlite3.Row
        self.db.executescript(Path(__file__).with_name("coop_book.sql").read_text())

    def rows(self, sql: str, value: object) -> list[Json]:
        """Return what the book says."""
        return [dict(row) for row in self.db.execute(sql, (value,))]

    def enter(self, order_id: str, role: str, moves: int, message: Json, reason: Any) -> None:
        """Write an order down, and when to ask what became of it; a known one stays as it is."""
        state = "REJECTED" if reason else "PENDING" if role == "debtor" else "HELD"
        due = None if reason else time.time() + self.patience_s
        said, cci = json.dumps(message), message.get(f"{role}CCI")
        self.db.execute(ENTER, (order_id, role, state, cci, moves, said, reason, due))

    def end(self, order_id: str, told: Json) -> None:
        """Give an order the outcome that we were told; the first one stands."""
        state, reason = ENDS[told["responseCode"]], told.get("reasonCode")
        self.db.execute(END, (state, reason, told.get("instructionId"), order_id))

    async def take(self, request: web.Request) -> web.Response:
        """Answer a message; what goes wrong in here becomes an HTTP 500, which is silence."""
        name, (message,) = request.match_info["name"], (await request.json()).values()
        if taker := {"AV2": self.consider, "CT2": self.consider, "CTC1": self.cancel}.get(name):
            return web.json_response(taker(message))
        if name == "CT5":
            return self.credit(message)
        if name == "ET1":
            return web.json_response({"ET2": message | stamp("response") | {"status": "00"}})
        print(name, message, flush=True)  # SNM and REJECT: for people to read.
        return web.Response()

    def consider(self, asked: Json) -> Json:
        """AV2: tell whose account it is. CT2: hold the order; nothing is credited yet."""
        payee = next(iter(self.rows(f"{PAYEE} WHERE creditorCCI = ?", asked["creditorCCI"])), {})
        checks: Json = {"AM05": not self.rows(ORDER, asked["instructionId"])}
        checks |= {"AC14": asked["transactionType"] == "320"}
        checks |= {"FF02": asked["creditorParticipantCode"] == OWN, "AC01": payee}
        checks |= {"AC11": asked["currency"] == SOLES, "AM01": asked.get("amount", 1) > 0}
        reason = next((code for code, holds in checks.items() if not holds), None)
        if "amount" in asked:
            self.enter(asked["instructionId"], "creditor", asked["amount"], asked, reason)
            return {"CT3": asked | answer(reason)}
        return {"AV3": asked | answer(reason) | ({} if reason else payee)}

    def credit(self, told: Json) -> web.Response:
        """CT5: the order is final, so credit it. One that differs is left to the enquiry."""
        (order,) = self.rows(ORDER, told["instructionId"])
        if (told["creditorCCI"], told["amount"]) == (order["cci"], order["moves"]):
            self.end(order["id"], told)
        return web.Response(status=409 if order["state"] == "REJECTED" else 200)

    def cancel(self, asked: Json) -> Json:
        """CTC1: give a hold up, but never a credit; a CT2 that comes late will be refused."""
        order_id = asked["referenceInstructionId"]
        self.enter(order_id, "creditor", 0, asked, "DS24")
        self.end(order_id, {"responseCode": "05", "reasonCode": "DS24"})
        (order,) = self.rows(ORDER, order_id)
        return {"CTC2": asked | answer("FF07" if order["state"] == "FINAL" else None)}

    async def ask(self, name: str, message: Json) -> Json:
        """Send the clearing house a message; return its answer, empty if there is none."""
        url, limit = self.switch + BASE + name, ClientTimeout(total=12)
        try:
            async with request("POST", url, json={name: message}, timeout=limit) as got:
                return dict(*(await got.json()).values()) if got.ok else {}
        except (ClientError, TimeoutError, ValueError, TypeError) as error:
            print(name, "was not answered:", repr(error), flush=True)
            return {}

    async def resolve(self, order_id: str) -> None:
        """Ask what becomes of an order, and note first when to ask again."""
        (order,) = self.rows(ORDER, order_id)
        wait_s = self.patience_s * 2 ** min(order["tries"], 5)
        self.db.execute(ASKED, (time.time(), wait_s, order_id))
        name, message = "CT1", json.loads(order["message"])
        message["messageTypeId"] = "0201" if order["tries"] else "0200"
        if order["role"] == "creditor":
            (enquiry,) = self.rows("SELECT * FROM enquiries WHERE instructionId = ?", order_id)
            name, message = "PSR1", stamp("creation") | enquiry
        told = await self.ask(name, message)
        if told.get("responseCode") in ENDS:
            self.end(order_id, told)

    async def pay(self, debtor: str, creditor: str, amount: int) -> Json:
        """Verify the payee, write the order down, send it; return what came of it so far."""
        payee = {"creditorParticipantCode": "0" + creditor[:3], "creditorCCI": creditor}
        trace = f"{time.time_ns() // 1000 % 1_000_000:06}"  # Microseconds: no second has it twice.
        order = stamp("creation") | TERMS | self.rows(PAYER, debtor)[0] | payee | {"trace": trace}
        order["retrievalReferenteNumber"] = order["creationDate"][4:] + order["creationTime"] + "00"
        known = await self.ask("AV1", order)
        if known.get("responseCode") != "00":
            return {"state": "NOT_SENT", "reason_code": known.get("reasonCode")}
        order |= stamp("creation") | FEE | {"referenceTransactionId": known["instructionId"]}
        order |= {name: known[name] for name in ("creditorName", "creditorCCI", "sameCustomerFlag")}
        order_id = f"COOP-{time.time_ns()}"
        order |= {"amount": amount, "debtorCCI": debtor, "transactionReference": order_id}
        self.enter(order_id, "debtor", -amount - FEE["feeAmount"], order, None)
        await self.resolve(order_id)
        return self.rows("SELECT * FROM outcomes WHERE id = ?", order_id)[0]

    async def show(self, request: web.Request) -> web.Response:
        """Test hook: what the clearing house's ledger is compared with; nothing can be changed."""
        if cci := request.match_info.get("cci"):
            found = self.rows(ACCOUNT, cci)
            return web.json_response(found[0] if found else None, status=200 if found else 404)
        after = request.query.get("after", 0)
        found = self.rows("SELECT * FROM movements WHERE sequence > ?", after)
        return web.json_response({"movements": found, "next": None})


async def serve(coop: Coop, port: int) -> None:
    """Listen, sign on, and ask about every order whose outcome is overdue."""
    app = web.Application()
    shown = [web.get(f"/control/{path}", coop.show) for path in ("movements", "accounts/{cci}")]
    app.add_routes([web.post(BASE + "{name}", coop.take), *shown])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    sign_on = {"participantCode": OWN, "trace": "000001"} | stamp("creation")
    while (await coop.ask("SignOn1", sign_on)).get("status") != "00":
        await asyncio.sleep(1)
    while True:
        for order in coop.rows("SELECT id FROM orders WHERE due < ?", time.time()):
            await coop.resolve(order["id"])
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument("command", choices=("serve", "pay"))
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--switch", default="http://127.0.0.1:7080")
    parser.add_argument("--book", type=Path, default=Path(".chasqui/coop-0985.db"))
    parser.add_argument("--patience", type=float, default=15.0, help="seconds before it asks")
    parser.add_argument("--from", dest="debtor", default="98599900000000010126")
    parser.add_argument("--to", default="97100220030040050213")
    parser.add_argument("--amount", default="1.00", help="in soles")
    options = parser.parse_args()
    typed = re.fullmatch(r"(\d{1,5})(?:\.(\d\d?))?", options.amount, re.ASCII)
    cents = int(typed[1] + (typed[2] or "").ljust(2, "0")) if typed else 0
    if not 0 < cents <= LIMIT:
        parser.error(f"--amount {options.amount}: 0.01 to {LIMIT // 100}, two decimals at most")
    coop = Coop(options)
    if options.command == "serve":
        asyncio.run(serve(coop, options.port))
    _ = coop.rows(ACCOUNT, options.debtor) or parser.error("--from: no account of this coop")
    try:
        paid = asyncio.run(coop.pay(options.debtor, options.to, cents))
    except sqlite3.IntegrityError as error:  # The book refused the order, so none was sent.
        parser.exit(1, f"{error}\n")
    print(json.dumps(paid))
    parser.exit({"FINAL": 0, "REJECTED": 1}.get(paid["state"], 3))
