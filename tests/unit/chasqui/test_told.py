"""What the country says can be said in Spanish: every text of its sources has a template."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chasqui import language, told_texts
from chasqui.told import find, told

ROOT = Path(__file__).parents[3]
SOURCES = [
    *("scheme", "runtime", "clearing", "participants", "switch/core/rules.py"),
    *("switch/config.py", "switch/main.py", "switch/gate.py", "switch/envelope.py"),
    *("switch/routes.py", "switch/queries.py", "switch/edges", "directory"),
    *("switch/core/routing.py", "switch/core/payment.py", "switch/payments.py"),
    *("switch/payment_ports.py", "switch/payment_settling.py", "switch/returns.py"),
    "switch/breakers.py",
    *("switch/core/cash.py", "switch/core/cash_rules.py", "switch/core/cash_codes.py"),
    *("switch/core/cash_messages.py", "switch/cash.py", "switch/cash_codes.py"),
    *("switch/cash_reversals.py", "switch/iso8583_desk.py", "switch/iso8583_links.py"),
    *("switch/iso8583_sessions.py", "switch/core/iso8583_requests.py", "switch/reversals.py"),
    *("switch/core/iso8583_messages.py", "switch/core/iso8583_answers.py"),
]
SPOKEN = {
    "ConfigError": (0,),
    "StoreError": (0,),
    "NotSent": (0,),
    "Objection": (1,),
    "BadRequest": (0,),
    "Problem": (1,),
    "problem": (1,),
    "_problem": (1, 2),
    "_error": (1, 3),
    "_Refused": (1,),
    "Refusal": (3,),
    "refusal": (1,),
    "_debtor": (1,),
    "_creditor": (1,),
    "_invalid": (0, 2),
    "BadSignature": (1,),
    "_malformed": (0,),
    "MalformedMessage": (0,),
    "Fault": (1,),
    "_fault": (1,),
    "_refused": (0,),
    "QrRefusal": (1,),
    "_no": (1,),
    "NotConnected": (0,),
    "NoAnswer": (0,),
    "Answer": (1,),
    "invalid": (0, 2),
    "unknown": (0, 2),
    "conflict": (0, 2),
    "error": (1, 3),
    "_against": (1,),
    "PaymentFailed": (0,),
    "LookupResult": (),
    "answer_fault": (),
    "IsoFault": (1,),
    "_Broken": (0,),
    "_Wrong": (0,),
    "malformed": (0,),
    "refuse": (3,),
    "brief_answer": (2,),
}
"""The calls that carry a text to a person, and where it stands among their arguments."""
SPOKEN_KEYWORDS = {"hint", "error", "explanation", "rule", "detail", "why"}
SPOKEN_NAMES = {"text", "hint", "cause", "rule", "detail", "error", "note", "fault"}
SPOKEN_TABLES = {"_EXPLANATIONS", "TEXTS"}
COMPUTED = {
    *("at 7 7 characters", "at most 7 7", "decided by the 7", "7, the first half byte 0"),
}
"""Texts whose slots are words: each of their few variants is a template."""
DRAWN = {"what_if_picture.py"}
"""Files whose texts stand in a picture, which is the same in every language."""
UNTRANSLATABLE = re.compile(r"[A-Z0-9 ]*|(GET )?/\S+|tombstone|[a-z]+(_[a-z]+)+")
"""Names that are the same in every language: codes, paths, slugs."""


def written(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that are texts for people, as far as their place tells."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in SPOKEN:
            yield from (node.args[at] for at in SPOKEN[name] if at < len(node.args))
            yield from (one.value for one in node.keywords if one.arg in SPOKEN_KEYWORDS)
        case ast.Yield(
            value=ast.Tuple(elts=[_, ast.Constant(value=str()) | ast.JoinedStr() as it])
        ):
            yield it  # A key of a settings file, and what is wrong with it.
        case ast.Assign(targets=[ast.Name(id=name)]) if name in SPOKEN_NAMES:
            yield node.value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict(values=values)):
            yield from values if name in SPOKEN_TABLES else ()
        case ast.Dict(keys=keys, values=values):
            named = zip(keys, values, strict=True)
            yield from (
                value
                for key, value in named
                if isinstance(key, ast.Constant) and key.value in SPOKEN_KEYWORDS
            )
        case ast.FunctionDef(name="text" | "fault" | "_lacks"):
            returned = (one.value for one in ast.walk(node) if isinstance(one, ast.Return))
            yield from (value for value in returned if value is not None)
        case _:
            pass


def samples(value: ast.expr) -> Iterator[str]:
    """Yield a text as it would arrive, with a 7 in each of its slots."""
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts
            )
        case ast.IfExp(body=body, orelse=orelse):
            yield from samples(body)
            yield from samples(orelse)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            yield from samples(left)
            yield from samples(right)
        case _:
            pass


def texts() -> Iterator[tuple[str, str]]:
    for source in SOURCES:
        place = ROOT / source
        for path in sorted(place.rglob("*.py") if place.is_dir() else [place]):
            if path.name in DRAWN:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for value in written(node):
                    for sample in samples(value):
                        yield path.name, sample


def is_known(sample: str) -> bool:
    """Tell whether a text, or what stands behind the fields before it, has a template."""
    parts = sample.split(": ")
    if any(find(": ".join(parts[start:])) for start in range(len(parts))):
        return True
    # What is nothing but slots behind fields is somebody else's text.
    nothing_said = not any(letter.isalpha() for letter in parts[-1])
    return nothing_said or sample in COMPUTED or bool(UNTRANSLATABLE.fullmatch(parts[-1]))


def test_every_text_that_the_country_says_has_a_template() -> None:
    missing = sorted({(where, text) for where, text in texts() if not is_known(text)})

    assert missing == [], "give them a template in chasqui/told_texts.py"


def test_the_texts_are_found_in_the_sources_at_all() -> None:
    assert len({text for _where, text in texts()}) > 200


@pytest.fixture
def _spanish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    language.use("es")


@pytest.mark.usefixtures("_spanish")
@pytest.mark.parametrize(
    ("english", "spanish"),
    [
        ("no such account here", "no existe esa cuenta aquí"),
        ("debtor: no such account here", "debtor: no existe esa cuenta aquí"),
        ("CCI: 20 digits", "CCI: 20 dígitos"),
        (
            "creditorParticipantCode: 0971 is blocked",
            "creditorParticipantCode: 0971 está bloqueada",
        ),
        ("the account is blocked", "la cuenta está bloqueada"),
        (
            "decided by the clearing house: amount: the prefund of 0970 does not cover it",
            "decidió la cámara de compensación: amount: el prefondeo de 0970 no alcanza",
        ),
        (
            "my.toml: Object contains unknown field `x` - at `$.up`",
            "my.toml: campo desconocido: `x` (en `$.up`)",
        ),
        (
            "127.0.0.1:7080: another program has this port: stop it, or set another port",
            "127.0.0.1:7080: otro programa usa este puerto: deténgalo, o fije otro puerto",
        ),
        ("first line\n  try again", "first line\n  intente de nuevo"),
        ("something nobody foresaw", "something nobody foresaw"),
        ("digits of something", "digits of something"),
        ("", ""),
    ],
)
def test_what_the_country_says_is_told_in_spanish(english: str, spanish: str) -> None:
    assert told(english) == spanish


@pytest.mark.usefixtures("_spanish")
def test_amounts_are_in_soles_once_the_currency_is_known() -> None:
    assert told("at most 123456 now") == "como máximo 123456 ahora"
    assert told("at most 123456 now", currency="PEN") == "como máximo S/ 1,234.56 ahora"


@pytest.mark.parametrize("template", sorted(told_texts.TEMPLATES - told_texts.OUR_OWN.keys()))
def test_in_english_nothing_changes(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    language.use("en")
    sample = template.replace("{", "").replace("}", "")

    assert told(sample) == sample


def test_of_a_code_that_was_never_issued_it_is_not_said_that_it_was_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LANGUAGE", "en")
    assert told("DE48.30: used already").startswith("DE48.30: unknown: no code for this phone")
    assert told("1 request was sent and not answered: the peer closed")
