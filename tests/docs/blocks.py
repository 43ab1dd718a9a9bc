"""Blocks of Markdown pages: read, and run as a reader would, one after the other in one folder.

A block is run where its language is one of `SHELLS` or python, and written as a file where it has a title and its
language is one of `FILES`. HTML comments on the lines before it, the markers, change that; see CONTRIBUTING.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHELLS = ("console", "bash", "sh")
FILES = ("python", "yaml", "csv", "json", "toml", "text")
MISSPELT = {"py": "python", "python3": "python", "pycon": "python", "shell": "sh", "zsh": "sh", "terminal": "console"}
SLOW = "<!-- slow page -->"
SLOW_WITHIN = 5  # lines at a page's top
OPENING = re.compile(r"(?P<indent>\s*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)")
MARKERS = ("not run", "run with", "exits")


class Malformed(ValueError):
    """A page's block or marker that can't be what its author meant."""


@dataclass(frozen=True)
class Block:
    """A fenced block, and what the markers before it say."""

    line: int  # of its opening fence, from 1
    language: str
    title: str
    text: str
    not_run: str = ""  # the reason
    arguments: str = ""  # appended to its disentangle-bench commands
    status: int = 0  # with which its last command ends

    @property
    def file(self) -> str:
        """The file that it is written as, relative to the page's folder; empty where it is none."""
        return self.title if self.language in FILES and not self.not_run else ""

    @property
    def runs(self) -> bool:
        """Whether it is run."""
        return self.language in (*SHELLS, "python") and not self.file and not self.not_run


def is_slow(page: str) -> bool:
    """Whether a page says at its top that it is run with the slow tests alone."""
    return SLOW in page.splitlines()[:SLOW_WITHIN]


def blocks(page: str) -> list[Block]:
    """A page's blocks in order; `Malformed`, with the line, for markers that say nothing or belong to no block."""
    lines = page.splitlines()
    found: list[Block] = []
    markers: dict[str, str] = {}
    position = 0
    while position < len(lines):
        opening = OPENING.fullmatch(lines[position])
        if opening:
            text, end = body(lines, position, opening)
            found.append(block(position + 1, opening["info"].strip(), text, markers))
            markers, position = {}, end
        elif lines[position].lstrip().startswith("<!--"):
            comment, position = comment_at(lines, position)
            markers |= marker(comment, position)
        elif set(markers) & set(MARKERS):
            raise Malformed(f"line {position + 1}: the marker before it is not on the line before a block")
        else:
            markers = {}
        position += 1
    if set(markers) & set(MARKERS):
        raise Malformed(f"line {len(lines)}: a marker without a block")
    return found


def body(lines: list[str], start: int, opening: re.Match[str]) -> tuple[str, int]:
    """The text between the fence at `start` and the one that closes it, and where that is."""
    for end in range(start + 1, len(lines)):
        closing = lines[end].strip()
        if closing.startswith(opening["fence"]) and not closing.strip(opening["fence"][0]):
            inner = [line.removeprefix(opening["indent"]) for line in lines[start + 1 : end]]
            return "\n".join(inner) + "\n", end
    raise Malformed(f"line {start + 1}: the block is never closed")


def comment_at(lines: list[str], start: int) -> tuple[str, int]:
    """The text of the HTML comment that begins here, and the line that it ends on."""
    for end in range(start, len(lines)):
        if "-->" in lines[end]:
            inner = " ".join(line.strip() for line in lines[start : end + 1])
            return inner.removeprefix("<!--").partition("-->")[0].strip(), end
    raise Malformed(f"line {start + 1}: the comment is never closed")


def marker(comment: str, position: int) -> dict[str, str]:
    """What a comment says of the block after it, by the marker's name; other comments by their own text."""
    name, _, value = (part.strip() for part in comment.partition(":"))
    line = position + 1
    if comment == "slow page":
        if position >= SLOW_WITHIN:
            raise Malformed(f"line {line}: '{comment}' belongs to the page's top")
        return {}
    if name not in MARKERS:
        return {comment: ""}
    if not value:
        raise Malformed(f"line {line}: '{name}' needs what follows it: a reason, arguments or a status")
    if name == "exits" and not value.isdecimal():
        raise Malformed(f"line {line}: '{value}' is no exit status")
    return {name: value}


def block(line: int, info: str, text: str, markers: dict[str, str]) -> Block:
    """A block from the words after its fence and the markers before it."""
    found = re.match(r"\{?\s*\.?([\w+-]+)", info)
    language = found[1] if found else ""
    if language in MISSPELT:
        raise Malformed(f"line {line}: call '{language}' '{MISSPELT[language]}', or the block is not run")
    title = re.search(r'title="([^"]*)"', info)
    made = Block(
        line,
        language,
        title[1] if title else "",
        text,
        markers.get("not run", ""),
        markers.get("run with", ""),
        int(markers.get("exits", "0")),
    )
    unknown = set(markers) - set(MARKERS)
    if unknown and made.runs:
        raise Malformed(f"line {line}: the comment before it, '{min(unknown)}', is no marker; leave an empty line")
    if {"run with", "exits"} & set(markers) and not made.runs:
        raise Malformed(f"line {line}: the marker before it is for blocks that are run")
    if made.arguments and "disentangle-bench" not in text:
        raise Malformed(f"line {line}: 'run with' is for a disentangle-bench command, and there is none")
    if made.runs and made.language == "console" and not list(commands(text)):
        raise Malformed(f"line {line}: no line of this console begins with '$ ', so nothing would be run")
    return made


def commands(console: str) -> Iterator[str]:
    """The commands of a console: lines after `$ `, and what follows a backslash at a line's end."""
    going_on = False
    for line in console.splitlines():
        if line.startswith("$ ") or going_on:
            yield line.removeprefix("$ " if line.startswith("$ ") else "> ")
            going_on = line.endswith("\\")
