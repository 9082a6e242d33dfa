"""The tables of the directory's pages say what the code does."""

from pathlib import Path

from directory.core.qr import TEXTS
from directory.core.registry import MOVES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "wire"


def test_the_page_of_the_directory_prints_the_table_of_moves() -> None:
    page = (DOCS / "directory-service.md").read_text()
    rows = [f"| {state or 'none'} | {one} | {result} |" for (state, one), result in MOVES.items()]
    assert "\n".join(rows) in page


def test_the_page_of_the_qr_module_prints_every_result() -> None:
    page = (DOCS / "qr-module.md").read_text()
    assert [code for code, text in TEXTS.items() if f"| `{code}` | `{text}` |" not in page] == []
