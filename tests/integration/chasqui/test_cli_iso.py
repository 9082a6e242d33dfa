"""The commands about the ISO 8583 lane: decode without a country, links, findings, timelines."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.iso8583_speech import KEY_CHANGE, Speech, network_request
from scheme.wire.iso8583_codec import codec
from tests.support.fake_country import (
    INSTRUCTION,
    VERIFICATION,
    Chasqui,
    FakeCountry,
    a_participant,
    a_payment,
    a_row,
    a_transfer,
)

NOW = datetime(2026, 1, 15, 13, 0, tzinfo=UTC)
MESSAGE = "30323030" + b"2020000000000000".hex() + b"400000".hex() + b"000123".hex()
LANE = {
    "participant": "0975",
    "spec": "ascii-1987",
    "header": "binary-2",
    "mac": "aes-cmac",
    "links_max": 4,
    "pending": 1,
    "links": [
        {
            "address": "127.0.0.1:50001",
            "since": "2026-01-15T15:18:30+00:00",
            "pending": 1,
            "received": 12,
            "sent": 34,
            "key_check_value": "A1B2C3",
        }
    ],
    "counts": {"late": 1, "unmatched": 2, "bad_format": 3, "bad_length": 4},
}
FINDING = {
    "at": "2026-01-15T15:18:30+00:00",
    "participant": "0975",
    "kind": "unmatched",
    "message": "0210",
    "stan": "000124",
    "rrn": "632710000123",
    "explanation": "no request of ours is like it",
    "near": "DE11 differs",
}


def frame_row(message: str, sender: str, receiver: str, **fields: str) -> dict[str, Any]:
    return a_row(message, sender, receiver) | {"http_status": None, "body": {message: fields}}


def test_a_message_is_decoded_without_a_country(chasqui: Chasqui, country: FakeCountry) -> None:
    code, out, _ = chasqui("iso", "decode", MESSAGE)

    assert code == 0
    assert "guessed: spec, header, tpdu" in out
    assert "000123" in out
    assert country.asked == []


def test_a_file_is_decoded_and_a_broken_frame_ends_with_1(chasqui: Chasqui, tmp_path: Path) -> None:
    file = tmp_path / "frame.hex"
    file.write_text(MESSAGE[:-4])

    code, out, _ = chasqui("iso", "decode", str(file), "--header", "none", "--no-tpdu")

    assert code == 1
    assert "DE11 at byte 26" in out


def test_an_explanation_is_also_json(chasqui: Chasqui) -> None:
    code, out, _ = chasqui("iso", "decode", MESSAGE, "--spec", "ascii-1987", "--json")

    told = json.loads(out)
    assert (code, told["message"], told["guessed"]) == (0, "0200", ["header", "tpdu"])
    assert [row["element"] for row in told["rows"]] == ["MTI", "bitmap", "DE3", "DE11"]


def test_a_participant_says_how_its_frames_are_written(chasqui: Chasqui) -> None:
    code, out, _ = chasqui("iso", "decode", MESSAGE, "--participant", "0976", "--json")

    told = json.loads(out)
    assert (code, told["spec"], told["header"]) == (1, "packed-1987", "ascii-4")
    alone = ("iso", "decode", MESSAGE, "--participant", "0975", "--header", "none")
    assert chasqui(*alone)[0] == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("decode", "no-such-file"), "neither hex digits nor a file"),
        (("decode", MESSAGE, "--participant", "0970"), "0970 does not speak ISO 8583"),
        (("decode", MESSAGE, "--participant", "1234"), "no participant 1234"),
        (("send", "--as", "0970", "--kind", "echo"), "0970 does not speak ISO 8583"),
        (("send", "--as", "0975", "--kind", "raw"), "belong together"),
        (("send", "--as", "0975", "--kind", "echo", "00"), "belong together"),
        (("send", "--as", "0975", "--field", "x"), "is no element"),
        (("send", "--as", "0991", "--kind", "deposit", "--amount", "5"), "--to"),
    ],
)
def test_a_wrong_argument_does_nothing(chasqui: Chasqui, words: tuple[str, ...], text: str) -> None:
    code, _, err = chasqui("iso", *words)

    assert code == 2
    assert text in err


def test_links_are_listed_with_what_did_not_fit(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/iso8583/links", {"participants": [LANE], "strangers": {"not_permitted": 5}})

    code, out, _ = chasqui("iso", "links")

    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("0975"))
    assert row.split() == ["0975", "1/4", "aes-cmac", "1", "1", "2", "0", "0", "7"]
    link = next(line for line in out.splitlines() if "127.0.0.1:50001" in line)
    assert link.split() == [
        "0975",
        "127.0.0.1:50001",
        "01-15",
        "10:18:30",
        "12",
        "34",
        "1",
        "A1B2C3",
    ]
    assert max(map(len, out.partition("Why")[0].splitlines())) <= 80
    assert "not permitted 5" in out
    assert "iso findings" in out
    assert json.loads(chasqui("iso", "links", "--json")[1])["participants"][0]["pending"] == 1


def test_links_that_are_not_signed_on_are_listed_too(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    link = LANE["links"][0]  # type: ignore[index]
    waiting = [
        link | {"participant": "0976"},
        link | {"participant": "", "key_check_value": "", "address": "127.0.0.1:50002"},
    ]
    lane = LANE | {"links": []}
    answer = {"participants": [lane], "not_signed_on": waiting, "strangers": {}}
    country.on("GET", "/iso8583/links", answer)

    lines = chasqui("iso", "links")[1].splitlines()

    known, unknown = (
        next(line for line in lines if address in line)
        for address in ("127.0.0.1:50001", "127.0.0.1:50002")
    )
    assert (known[:4], known.endswith("A1B2C3, not signed on")) == ("0976", True)
    assert (unknown[:1], unknown.endswith(" not signed on")) == ("?", True)
    assert max(map(len, lines[: lines.index(unknown)])) <= 80


def test_nobody_may_speak_it(chasqui: Chasqui, country: FakeCountry) -> None:
    country.on("GET", "/iso8583/links", {"participants": [], "strangers": {}})

    assert "Nobody here speaks ISO 8583." in chasqui("iso", "links")[1]


def test_findings_come_with_their_near_miss_and_what_to_do(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    country.on("GET", "/iso8583/findings", {"findings": [FINDING]})

    code, out, _ = chasqui("iso", "findings", "--participant", "0975", "--limit", "5")

    assert code == 0
    assert country.last("/iso8583/findings").query == {"participant": "0975", "limit": "5"}
    assert "0975  unmatched  0210 STAN 000124 RRN 632710000123" in out
    assert "Nearest: DE11 differs" in out
    assert "an answer must repeat DE11, DE32 and DE37" in out


def test_findings_have_their_frames_on_demand(chasqui: Chasqui, country: FakeCountry) -> None:
    seen = {"count": 3, "address": "127.0.0.1:50001", "frame": "30323130"}
    crowded = FINDING | {
        "kind": "not_permitted",
        "explanation": "DE32: 4 links are signed on already",
        "near": "0200 with DE11 000123: DE11 is 000124, sent was 000123",
    }
    country.on("GET", "/iso8583/findings", {"findings": [crowded | seen]})

    brief, whole = chasqui("iso", "findings")[1], chasqui("iso", "findings", "-v")[1]

    assert "(3 times)" in brief
    country.on("GET", "/iso8583/findings", {"findings": [crowded | seen | {"mixed": True}]})
    assert "(one of 3 with other numbers)" in chasqui("iso", "findings")[1]
    country.on("GET", "/iso8583/findings", {"findings": [crowded | seen]})
    assert "30323130" not in brief
    assert "Frame, masked: 30323130" in whole
    assert "raise links_max" in brief
    assert "exchange the key" not in brief
    spanish = chasqui("--lang", "es", "iso", "findings")[1]
    assert "DE11 es 000124, se envió 000123" in spanish


def test_what_is_owed_to_a_core_without_a_link_is_not_said_to_be_sent(
    chasqui: Chasqui, country: FakeCountry
) -> None:
    core = a_participant("0975", lane="iso8583")
    country.on("GET", "/participants", {"participants": [core]})
    country.on("POST", "/stuck/resend", {"resent": 1})
    country.on("GET", "/iso8583/links", {"participants": [LANE | {"links": []}]})

    without = chasqui("resend", "--participant", "0975")[1]
    country.on("GET", "/iso8583/links", {"participants": [LANE]})
    country.on("GET", "/stuck", {})

    assert "Not sent: 0975 has no link now." in without
    assert "Sent again" in chasqui("resend", "--participant", "0975")[1]


def test_no_findings_are_good_news(chasqui: Chasqui, country: FakeCountry) -> None:
    since = "2026-01-15T15:18:30+00:00"
    country.on("GET", "/iso8583/findings", {"since": since, "findings": []})

    assert "No findings since 01-15 10:18:30, the start" in chasqui("iso", "findings")[1]
    assert "desde 01-15 10:18:30" in chasqui("--lang", "es", "iso", "findings")[1]
    assert chasqui("iso", "findings", "--json")[1].strip() == "[]"


def test_both_wires_stand_in_one_timeline(chasqui: Chasqui, country: FakeCountry) -> None:
    rows = [
        a_row("CT1", "0002", "CCE"),
        frame_row("0200", "CCE", "0971", **{"3": "400000", "4": "000000002550", "49": "604"}),
        frame_row("0210", "0971", "CCE", **{"3": "400000", "39": "00"}),
        a_row("CT4", "CCE", "0002"),
    ]
    answer = {"transfer": a_transfer(), "timeline": rows, "entries": [], "owed": []}
    country.on("GET", f"/transfers/{INSTRUCTION}", answer)

    code, out, _ = chasqui("show", INSTRUCTION)

    assert code == 0
    assert "0200 transfer S/ 25.50" in out
    assert "00 approved" in out
    assert "said so (0210)" in out


def test_a_payment_shows_both_frames_of_a_core(chasqui: Chasqui, country: FakeCountry) -> None:
    verified = [frame_row("0200", "CCE", "0971", **{"3": "330000"})]
    ordered = [a_row("CT1", "0970", "0998"), frame_row("0200", "CCE", "0971", **{"3": "400000"})]
    ordered.append(frame_row("0210", "0971", "CCE", **{"3": "400000", "39": "00"}))
    country.on("POST", "/control/payments", a_payment())
    country.on("GET", f"/transfers/{VERIFICATION}", {"timeline": verified})
    country.on("GET", f"/transfers/{INSTRUCTION}", {"timeline": ordered})

    code, out, _ = chasqui(
        "send", "--from", "97000110020030040142", "--to", "97100220030040050213", "--amount", "1"
    )

    assert code == 0
    assert "0200 verification" in out
    assert "0200 transfer" in out


def test_the_mac_of_a_key_change_is_checked_under_the_key_encrypting_key(
    chasqui: Chasqui, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHASQUI_KEK_0975", "00" * 16)
    speech = Speech("ascii-1987", "aes-cmac", bytes(16))
    request = network_request(KEY_CHANGE, stan=1, now=NOW, acquirer="0975")
    body = speech.write(request)
    words = ("iso", "decode", "--participant", "0975", "--header", "none")

    good = chasqui(*words, body.hex())
    spoilt = chasqui(*words, (body[:-1] + (b"1" if body[-1:] == b"0" else b"0")).hex())

    assert "holds under the key-encrypting key, check value" in good[1]
    assert "MAC: DE128 does not verify" in spoilt[1]
    assert "It has no MAC, though 0975 wants aes-cmac." in chasqui(*words, MESSAGE)[1]
    speech.adopt(bytes(16))
    later = speech.write({"t": "0200", "3": "400000", "11": "000123"})
    assert "session key" in chasqui(*words, later.hex())[1]


@pytest.mark.parametrize("has_wire_log", [True, False])
def test_a_payer_of_this_lane_is_shown_with_the_frames_that_it_sent(
    chasqui: Chasqui, country: FakeCountry, has_wire_log: bool
) -> None:
    payer = "97500100000000010197"
    core = a_participant("0975", country.url, lane="iso8583")
    country.on("GET", "/participants", {"participants": [core]})
    legs = [
        {"message": "prxy.003", "from": "0975", "to": "0998", "ms": 1.2},
        {"message": "AV1", "from": "0975", "to": "CCE"},
        {"message": "AV4", "from": "CCE", "to": "0975", "response_code": "00"},
        {"message": "CT1", "from": "0975", "to": "CCE"},
        {"message": "CT4", "from": "CCE", "to": "0975", "response_code": "00"},
    ]
    country.on("POST", "/control/payments", a_payment(legs=legs))
    if has_wire_log:
        for subject, kind in ((VERIFICATION, "330000"), (INSTRUCTION, "400000")):
            rows = [
                frame_row("0200", "0975", "CCE", **{"3": kind}),
                frame_row("0210", "CCE", "0975", **{"3": kind, "39": "00"}),
            ]
            country.on("GET", f"/transfers/{subject}", {"timeline": rows})

    words = ("--from", payer, "--to", "97100220030040050213", "--amount", "1", "--json")
    code, out, _ = chasqui("send", *words)

    told = [(leg["message"], leg["operation"]) for leg in json.loads(out)["legs"]]
    assert code == 0
    assert told == [
        ("prxy.003", ""), ("0200", "33"), ("0210", "33"), ("0200", "40"), ("0210", "40"),
    ]  # fmt: skip


def test_what_a_reversal_buried_can_be_looked_at(chasqui: Chasqui, country: FakeCountry) -> None:
    key = "iso:0975:20260115:000123:601510000123"
    buried = a_transfer(instruction_id=key, state="TOMBSTONE", debtor_agent="0975", amount=0)
    decision = {"rule": "tombstone", "decided_by": "clearing_house"}
    answer = {"transfer": buried, "timeline": [], "entries": [], "owed": [], "decision": decision}
    country.on("GET", f"/transfers/{key}", answer)

    code, out, _ = chasqui("show", key)

    assert code == 0
    assert "0975 took back (0420) a request" in " ".join(out.split())


def test_a_date_that_is_none_is_remarked(chasqui: Chasqui) -> None:
    fields = {"t": "0200", "11": "000123", "12": "246000", "13": "1399"}
    out = chasqui("iso", "decode", codec("ascii-1987").encode(fields).hex())[1]

    assert "no date MMDD" in out
    assert "no time hhmmss" in out
    sound = codec("ascii-1987").encode(fields | {"12": "235959", "13": "0229"}).hex()
    assert "no date" not in chasqui("iso", "decode", sound)[1]
    assert "no time" not in chasqui("iso", "decode", sound)[1]
