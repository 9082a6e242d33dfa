"""A what-if as a picture: one SVG that needs nothing else, for a light page or a dark one."""

import re
import sys
from typing import Final

from clearing.core.what_if import NONE, Outlook
from clearing.what_if import Answer

ROWS_MAX: Final = 12
"""Participants drawn: those that need most; the table has all of them."""
NAME_CHARACTERS_MAX: Final = 26
_WIDTH_PX = 900
_MARKS = 6
_DIGITS_MAX = 24
_BAR_PX = 9
_GAP_PX = 16
_AROUND_PX = 190
_FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
# Each is told from the others, and from both grounds, without relying on its hue alone.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6d31", "#7f7f7f")
_SIGNS = {"PEN": "S/", "USD": "US$"}
_UNITS = ((1_000_000_000, "bn"), (1_000_000, "M"), (1_000, "k"))
# The drawing library's own rules name the chart by its id, hence the weight.
_DARK = """
.pygal-chart { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  .pygal-chart, .pygal-chart .graph > .background, .pygal-chart .plot > .background {
    background-color: #14171c !important; fill: #14171c !important; }
  .pygal-chart .title, .pygal-chart .axis text, .pygal-chart .axis text.major,
  .pygal-chart text.no_data,
  .pygal-chart .legends .legend text { fill: #e6e8eb !important; }
  .pygal-chart .axis .guide.line { stroke: #3a4049 !important; }
  .pygal-chart .axis .line, .pygal-chart .axis .major.line { stroke: #8a919c !important; }
}
"""
# Scripts for tooltips, comments with the day of drawing, and an id that is empty without a prefix.
_NEEDLESS = re.compile(rb'<script\b.*?</script>|<script\b[^>]*/>|<!--.*?-->| id=""', re.DOTALL)


def picture(answer: Answer) -> bytes:
    """Return the liquidity that each participant needs, by set of rules, as SVG."""
    # Imported late: it takes longer than everything else a start of the switch needs.
    from pygal import HorizontalBar, PluginImportFixer
    from pygal.style import Style

    # It looks for map plugins in a way that Python warns of at every import that fails.
    sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, PluginImportFixer)]
    currency = answer.question.currency
    codes = _largest(answer.outlooks)
    chart = HorizontalBar(
        style=Style(
            background="#ffffff",
            plot_background="#ffffff",
            foreground="#3c434d",
            foreground_strong="#1b1f24",
            foreground_subtle="#d5d9df",
            opacity=".92",
            font_family=_FONT,
            title_font_size=17,
            label_font_size=12,
            major_label_font_size=12,
            legend_font_size=12,
            colors=_COLOURS,
            transition="none",
        ),
        css=["file://style.css", "file://graph.css", f"inline:{_DARK}"],
        js=[],
        title=_title(answer),
        no_data_text="no payments on this day",
        width=_WIDTH_PX,
        height=_AROUND_PX + len(codes) * (_GAP_PX + _BAR_PX * len(answer.outlooks)),
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        truncate_legend=-1,
        truncate_label=-1,
        show_x_guides=False,
        y_labels=_marks(answer.outlooks),
        value_formatter=lambda value: _short(value, currency),
        margin=18,
        spacing=8,
        no_prefix=True,
        disable_xml_declaration=False,
    )
    # It draws from the bottom up, and the largest belongs on top.
    chart.x_labels = [_label(answer, code) for code in reversed(codes)]
    for outlook in answer.outlooks:
        needs = {one.participant: one.liquidity for one in outlook.participants}
        bars = [needs.get(code, 0) / 100 for code in reversed(codes)]
        chart.add(_legend(outlook, currency), bars)
    return _NEEDLESS.sub(b"", chart.render())


def _largest(outlooks: tuple[Outlook, ...]) -> list[str]:
    most: dict[str, int] = {}
    for outlook in outlooks:
        for one in outlook.participants:
            most[one.participant] = max(most.get(one.participant, 0), one.liquidity)
    return sorted(most, key=lambda code: (-most[code], code))[:ROWS_MAX]


def _marks(outlooks: tuple[Outlook, ...]) -> list[float]:
    """Return about five round amounts from zero to the largest bar."""
    largest = max((one.liquidity for each in outlooks for one in each.participants), default=0)
    steps = (digit * 10**power for power in range(_DIGITS_MAX) for digit in (1, 2, 5))
    step = next(step for step in steps if step * _MARKS >= largest)
    count = -(-largest // step)
    return [step * at / 100 for at in range(count + 1)]


def _title(answer: Answer) -> str:
    asked = answer.question
    day = f"{asked.day[:4]}-{asked.day[4:6]}-{asked.day[6:]}"
    text = f"Liquidity needed, {asked.ledger} {asked.currency}, {day}"
    if asked.cap_minor is not None:
        text += f", cap {_short(asked.cap_minor / 100, asked.currency)}"
    return text


def _legend(outlook: Outlook, currency: str) -> str:
    number = outlook.rules.windows
    name = f"{number} window{'' if number == 1 else 's'}"
    if outlook.rules.offsetting == NONE:
        name = "no netting"
    text = f"{name}: {_short(outlook.liquidity / 100, currency)} in all"
    return f"{text}, {outlook.blocked:,} blocked" if outlook.blocked else text


def _label(answer: Answer, code: str) -> str:
    name = answer.names.get(code, "")
    if len(name) > NAME_CHARACTERS_MAX:
        name = f"{name[: NAME_CHARACTERS_MAX - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
    return f"{code} {name}".strip()


def _short(value: float, currency: str) -> str:
    sign = _SIGNS.get(currency, currency)
    for size, unit in _UNITS:
        if abs(value) >= size:
            return f"{sign} {value / size:,.1f}".removesuffix(".0") + f" {unit}"
    return f"{sign} {value:,.0f}" if value == int(value) else f"{sign} {value:,.2f}"
