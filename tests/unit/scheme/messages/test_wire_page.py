import pytest

from scheme.wire.tin_json import MESSAGES
from tools.print_wire_tables import PAGE, page_with_tables


def test_the_page_is_in_step_with_the_structs() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page_with_tables(page) == page, "run: python -m tools.print_wire_tables --write"


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_has_a_section(name: str) -> None:
    assert f"\n### {name}\n" in PAGE.read_text(encoding="utf-8")
