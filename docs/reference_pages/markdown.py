"""Small pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

FENCE = re.compile(r"\s*(```|~~~)")
ITEM = re.compile(r"([-*]|\d+\.) ")


def code(text: object) -> str:
    """Text in the typeface of code; nothing where it is empty."""
    return f"`{text}`" if str(text) else ""


def codes(texts: Iterable[object]) -> str:
    """Several, parted by commas."""
    return ", ".join(map(code, texts))


def block(text: str, language: str) -> str:
    """A fenced block."""
    return f"```{language}\n{text.rstrip()}\n```"


def cell(text: object) -> str:
    """Text that may stand in a table: on one line, and no bar of it parts two cells."""
    return re.sub(r"\s+", " ", str(text)).strip().replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell(each) for each in line) + " |" for line in lines)


def facts(known: Sequence[tuple[str, str]]) -> str:
    """What is known of something, a line each; what is empty is left out."""
    return "\n".join(f"- **{title}**: {text}" for title, text in known if text)


def number(value: float) -> str:
    """A number as people write it: 10,000; 0.0001; ∞."""
    if value in (float("inf"), float("-inf")):
        return "∞" if value > 0 else "−∞"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def setting(value: object) -> str:
    """The value of a setting, as one reads it in a table; a dash for none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "–"
    if isinstance(value, tuple | list):
        return ", ".join(map(setting, value))
    return number(value) if isinstance(value, int | float) else str(value)


def with_lists(markdown: str) -> str:
    """An empty line before each list that follows a paragraph at once: without it, MkDocs sees no list."""
    lines: list[str] = []
    fenced = False
    for line in markdown.split("\n"):
        before = lines[-1] if lines else ""
        if FENCE.match(line):
            fenced = not fenced
        elif ITEM.match(line) and not fenced and before.strip() and not within_list(lines):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def within_list(lines: Sequence[str]) -> bool:
    """Whether the paragraph that these lines end in belongs to an item."""
    for line in reversed(lines):
        if ITEM.match(line):
            return True
        if not line.strip() or not line.startswith(" "):
            return False
    return False
