"""YAML from anyone: plain values alone, and no more of them than a study can mean.

PyYAML's safe loaders build no objects. Two things remain: an alias may stand for a list of aliases, so that ten lines
stand for billions of values; and thousands of brackets exhaust the stack, which ends the process.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML has it: ten times as fast
MOST = 1_000_000  # values that aliases may stand for
DEEPEST = 100  # lists and mappings within one another


def load(text: str) -> Any:
    """The value of a YAML document; `yaml.YAMLError` for what is none, and for what is too much."""
    if _may_be_deep(text):
        _refuse_depth(text)
    content = yaml.load(text, LOADER)
    if "&" in text:
        count, depth = _measured(content, {})
        if count > MOST or depth > DEEPEST:
            raise yaml.YAMLError(
                f"its aliases stand for more than {MOST:,} values, or lie {DEEPEST} deep in one another"
            )
    return content


def _may_be_deep(text: str) -> bool:
    """Whether lists and mappings may lie `DEEPEST` deep: by brackets, or by what stands before a line's first word."""
    return text.count("[") + text.count("{") > DEEPEST or re.search(rf"^[ ?:-]{{{DEEPEST}}}", text, re.M) is not None


def _refuse_depth(text: str) -> None:
    """`yaml.YAMLError` for more than `DEEPEST`; reading events takes no stack, which building values does."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"its lists and mappings lie more than {DEEPEST} deep in one another")


def _measured(item: Any, known: dict[int, tuple[float, float]]) -> tuple[float, float]:
    """How many values an item holds, those behind aliases as often as they are meant, and how deep; a circle without
    end.

    known: what was found of the lists and mappings met before, by their id.
    """
    if not isinstance(item, list | dict | set):
        return 1, 0
    if id(item) not in known:
        known[id(item)] = math.inf, math.inf  # while it is measured: whoever comes here again is in a circle
        parts = [*item.keys(), *item.values()] if isinstance(item, dict) else list(item)
        found = [_measured(part, known) for part in parts]
        known[id(item)] = 1 + sum(count for count, _ in found), 1 + max((depth for _, depth in found), default=0)
    return known[id(item)]
