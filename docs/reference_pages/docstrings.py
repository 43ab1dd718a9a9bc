"""Docstrings as Markdown: a line of one that begins with a parameter's name and a colon is an item of a list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import griffe

from .markdown import with_lists

NAMED = re.compile(r"(?P<names>\w+(?:, \w+)*): (?P<text>.+)")
COMMENT = re.compile(r"  # (?!type:|noqa)(?P<text>.+)$")


def as_markdown(docstring: str, names: Iterable[str]) -> str:
    """A docstring's text as Markdown. names: the parameters, or fields, that it may explain in lines of their own."""
    known = set(names)
    lines = []
    for line in docstring.split("\n"):
        found = NAMED.fullmatch(line)
        if found and known.issuperset(found["names"].split(", ")):
            listed = ", ".join(f"`{name}`" for name in found["names"].split(", "))
            line = f"- {listed}: {found['text']}"
        lines.append(line)
    return with_lists("\n".join(lines))


class Docstrings(griffe.Extension):
    """What mkdocstrings shows: docstrings as above, and the comment beside an attribute that has no docstring."""

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Rewrite one object's docstring, once all that belongs to it is known."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value, explained(obj))
        elif obj.is_attribute and (comment := COMMENT.search(obj.lines[-1] if obj.lines else "")):
            obj.docstring = griffe.Docstring(comment["text"], parent=obj)


def explained(obj: griffe.Object) -> list[str]:
    """The names that a docstring may explain: a function's parameters, a class's fields and its constructor's."""
    if isinstance(obj, griffe.Function):
        return [each.name for each in obj.parameters]
    return [*obj.members, *(each.name for each in obj.parameters)] if isinstance(obj, griffe.Class) else []
