"""Pages that repeat what the code says are held to it, and links lead somewhere."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chasqui.exits import ExitCode
from runtime.lifeline import EXIT_ORPHANED
from scheme import limits
from switch.core.transfer import (
    TRANSITIONS,
    AnswerDebtor,
    Event,
    Owe,
    PostMoney,
    ReleaseMoney,
    TransferState,
    effects,
)

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*.md")])
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ANCHOR = re.compile(r'<a id="([^"]+)">')
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_TEST_FILE = re.compile(r"tests/[\w/]+(?:\.py|/)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def block(page: str, name: str) -> str:
    """Return what stands between the marks of a name."""
    text = read(page)
    begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
    return text[text.index(begin) + len(begin) : text.index(end)]


def table(head: str, rows: Iterator[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows])


def states() -> str:
    """Return the table of legal moves as the architecture page prints it."""
    return table("| In | When | Then | With |", (_move(*one) for one in TRANSITIONS.items()))


def _move(key: tuple[TransferState, type[Event]], target: TransferState) -> str:
    state, event = key
    words = " ".join(re.findall("[A-Z][a-z]*", event.__name__)).lower()
    return f"| {state} | {words} | {target} | {_with(event)} |"


def _with(event: type[Event]) -> str:
    sample = event("reason") if event.__struct_fields__ else event()  # type: ignore[call-arg]
    words = []
    for effect in effects(sample):
        match effect:
            case PostMoney():
                words.append("post")
            case ReleaseMoney():
                words.append("release")
            case Owe(what):
                words.append(f"owe the {what}")
            case AnswerDebtor(response_code=code, reason=reason):
                words.append(f"answer {code}" + (f" {reason}" if reason else ""))
    return "; ".join(words).replace("05 reason", "05 with the creditor's reason")


def bounds() -> str:
    """Return the table of limits as the operations page prints it."""
    tree = ast.parse(inspect.getsource(limits)).body[1:]
    pairs = zip(tree[::2], tree[1::2], strict=True)
    return table("| Limit | Value | What it bounds |", (_bound(*pair) for pair in pairs))


def _bound(assignment: ast.stmt, words: ast.stmt) -> str:
    assert isinstance(assignment, ast.Assign)
    assert isinstance(words, ast.Expr)
    name = ast.unparse(assignment.targets[0])
    value = getattr(limits, name)
    shown = ", ".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"
    return f"| `{name}` | {shown} | {ast.literal_eval(words.value)} |"


def test_the_states_on_the_architecture_page_are_those_of_the_table() -> None:
    assert block("docs/architecture.md", "states") == states()


def test_the_limits_on_the_operations_page_are_those_of_the_code() -> None:
    assert block("docs/operations.md", "limits") == bounds()


@pytest.mark.parametrize("page", ["docs/operations.md", "docs/operations.es.md"])
def test_every_exit_code_is_on_the_operations_pages(page: str) -> None:
    told = set(re.findall(r"^\| (\d{1,3}) \|", read(page), re.MULTILINE))
    assert {int(code) for code in told} == {*ExitCode, EXIT_ORPHANED}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    slugs = {_slug(heading) for heading in _HEADING.findall(_FENCED.sub("", text))}
    return slugs | set(_ANCHOR.findall(text))


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_every_test_named_on_the_architecture_page_exists() -> None:
    named = set(_TEST_FILE.findall(read("docs/architecture.md")))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_both_readmes_give_the_same_commands() -> None:
    def commands(name: str) -> list[str]:
        text = re.sub(r"<!-- example.*?end -->", "", read(name), flags=re.DOTALL)
        lines = "\n".join(_FENCED.findall(text)).splitlines()
        return [line.split(" #")[0].rstrip() for line in lines]

    assert commands("README.md") == commands("README.es.md")


def test_every_page_of_the_docs_is_in_the_index() -> None:
    index = read("docs/README.md")
    listed = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in _LINK.findall(index)}
    pages = {page for page in PAGES if (ROOT / "docs") in page.parents} - {ROOT / "docs/README.md"}
    assert [str(page.relative_to(ROOT)) for page in sorted(pages - listed)] == []
