"""Sweeps: a study trains one model at several values of its fields, and each combination is a cell of its own.

The values stand in the configuration's name, as `dsprites(beta=4)`; so tables group by them, and identities differ.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def combinations(swept: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the fields' values, the last field in the inner loop; one empty one where none is swept."""
    for values in itertools.product(*swept.values()):
        yield dict(zip(swept, values, strict=True))


def variant(values: Mapping[str, Any]) -> str:
    """What a configuration's name says of its swept values: `(beta=4)`; nothing where there are none."""
    parts = [f"{field}={number(value)}" for field, value in values.items()]
    return f"({','.join(parts)})" if parts else ""


def variant_of(configuration: str) -> str:
    """The swept values in a configuration's name, as `variant` wrote them."""
    match = re.search(r"\(.*\)", configuration)
    return match[0] if match else ""


def number(value: Any) -> str:
    """A value as people write it: 4 and not 4.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
