"""What the benchmark asks of a running country beside the load: the operator API and test hooks."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from loadtests.bench.orders import Payee

_ASK_S_MAX = 30.0
_LOOK_AGAIN_S = 0.05
_OK = 200
# Phones kept for institutions that misbehave on purpose.
_MAGIC_PHONES = "900099"
_OWED = ("in_flight", "ct5_owed", "expired_uncancelled", "parked")


class NoSuchAnswer(Exception):
    """The country answered something else than was asked for, or nothing."""


class Operations:
    """A client of one country's operator API; it blocks, and is never used during a round.

    Args:
        url: of the operator API.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def ready(self) -> bool:
        """Return whether transfers can flow."""
        try:
            return _ask(self._url, "/readyz")[0] == _OK
        except NoSuchAnswer:
            return False

    def participants(self) -> Sequence[Mapping[str, Any]]:
        """Return all participants."""
        rows: Sequence[Mapping[str, Any]] = _get(self._url, "/participants")["participants"]
        return rows

    def senders(self) -> list[str]:
        """Return the codes of the agents that are there to send a load."""
        return [str(one["code"]) for one in self.participants() if one["kind"] == "load"]

    def payees(self, each: int) -> list[Payee]:
        """Return accounts in soles that can be paid, up to ``each`` of every institution."""
        found = []
        for one in self.participants():
            if not one["hook_url"] or not one["signed_on"]:
                continue
            page = _get(str(one["hook_url"]), f"/control/accounts?limit={each * 2}")
            cheerful = [
                Payee(str(one["code"]), account["cci"])
                for account in page["accounts"]
                if account["currency"] == "PEN" and not account["phone"].startswith(_MAGIC_PHONES)
            ]
            found += cheerful[:each]
        return found

    def balances(self) -> dict[str, int]:
        """Return the balance in soles by participant, in cents."""
        return {
            row["participant"]: row["balance"]
            for row in _get(self._url, "/positions")["positions"]
            if row["currency"] == "PEN"
        }

    def sponsors(self) -> dict[str, str]:
        """Return the sponsor of each coop of the network."""
        rows = _get(self._url, "/participants")["participants"]
        return {row["code"]: row["sponsor"] for row in rows if row["sponsor"]}

    def audit(self) -> Mapping[str, Any]:
        """Return the ledger's audit."""
        return _get(self._url, "/audit")

    def wait_until_ready(self, seconds: float) -> float:
        """Wait; return how many seconds it took.

        Raises:
            NoSuchAnswer: not ready in time.
        """
        return self._wait(self.ready, seconds, "not ready")

    def wait_until_signed_on(self, seconds: float) -> float:
        """Wait for the simulated institutions; return how many seconds it took.

        Raises:
            NoSuchAnswer: not all of them in time.
        """
        return self._wait(self._are_signed_on, seconds, "not every institution has signed on")

    def wait_until_quiet(self, seconds: float) -> float:
        """Wait until nothing is in flight or owed; return how many seconds it took.

        Raises:
            NoSuchAnswer: not quiet in time.
        """
        return self._wait(self._is_quiet, seconds, "something is still in flight or owed")

    def _are_signed_on(self) -> bool:
        return all(one["signed_on"] for one in self.participants() if one["simulated"])

    def _is_quiet(self) -> bool:
        stuck = _get(self._url, "/stuck")
        return not any(stuck[name] for name in _OWED)

    def _wait(self, is_so: Callable[[], bool], seconds: float, otherwise: str) -> float:
        begun = time.monotonic()
        while not is_so():
            if time.monotonic() - begun > seconds:
                raise NoSuchAnswer(f"{self._url}: {otherwise} after {seconds:.0f} s")
            time.sleep(_LOOK_AGAIN_S)
        return time.monotonic() - begun


def _get(url: str, path: str) -> Mapping[str, Any]:
    status, body = _ask(url, path)
    if status != _OK:
        raise NoSuchAnswer(f"{url}{path}: HTTP {status}: {body[:200]!r}")
    answer: Mapping[str, Any] = msgspec.json.decode(body)
    return answer


def _ask(url: str, path: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=_ASK_S_MAX
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoSuchAnswer(f"{url}{path}: {error}") from error
    finally:
        connection.close()
