"""Every metric and comparison: title, range, direction, and what each protocol fixes."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from disentangle_bench import metrics, registry
from disentangle_bench.contracts import Comparison, ImageMetric, Metric
from disentangle_bench.studies.config import StudyConfig

from .docstrings import as_markdown
from .markdown import code, codes, facts, number, setting, table

HEAD = """# Metrics and protocols

A metric's protocol fixes everything that could change the score. What each means, what oracle codes score under it and
what to beware of stands on the metric's card."""
SORTS = {
    Metric: "Scores of codes",
    ImageMetric: "Scores of a model's images, beside the real ones",
    Comparison: "Comparisons of seeds, without labels",
}


def page() -> str:
    """The whole page."""
    items = [registry.get(kind, name) for kind in ("metric", "comparison") for name in registry.BUILT_IN[kind]]
    parts = [HEAD, defaults()]
    for sort, title in SORTS.items():
        chosen = [item for item in items if isinstance(item, sort)]
        parts += [f"## {title}", summary(chosen), *map(section, chosen)]
    return "\n\n".join(parts) + "\n"


def defaults() -> str:
    """Which protocol is used where none is named."""
    study = "; ".join(
        f"{code(name)} by {codes(chosen)}" for name, chosen in StudyConfig.model_fields["metrics"].default.items()
    )
    of = {
        each: inspect.signature(getattr(metrics, each)).parameters["protocol"].default
        for each in ("score", "score_encoder")
    }
    python = ", ".join(f"{code(each)} by {code(protocol)}" for each, protocol in of.items())
    return f"Where nothing is chosen, a study scores {study}. In Python, {python}."


def summary(items: list[Any]) -> str:
    """The table at the head of a sort of metrics."""
    rows = [
        (f"[{each.name}](#{each.name})", each.title, span(each), better(each), codes(each.protocols)) for each in items
    ]
    return table(["name", "title", "range", "better", "protocols"], rows)


def span(item: Any) -> str:
    """The range of its scores."""
    low, high = getattr(item, "range", (0.0, 1.0))  # a comparison's is fixed by its contract
    return f"{number(low)} to {number(high)}"


def better(item: Any) -> str:
    """Which way is better; a comparison's is fixed by its contract."""
    return "higher" if getattr(item, "higher_is_better", True) else "lower"


def section(item: Any) -> str:
    """A metric or comparison."""
    known = [
        ("title", item.title),
        ("paper", item.cite),
        ("range", span(item)),
        ("better", better(item)),
        ("scores", codes(getattr(item, "keys", ("scores",)))),
        ("card", f"[{item.name}]({item.name}.md)"),
    ]
    if not getattr(item, "needs_factors", True):
        known.append(("factors", "not needed"))
    if isinstance(item, Comparison):
        known.append(("needs of each model", "its codes" if item.needs == "codes" else "that it generates and encodes"))
    parts = [f"### {item.name}", facts(known), protocols(item)]
    meaning = protocol_text(item)
    return "\n\n".join(part for part in (*parts, meaning) if part)


def protocols(item: Any) -> str:
    """What each protocol fixes: a row a protocol, a column a setting."""
    fields = [field.name for field in dataclasses.fields(next(iter(item.protocols.values())))]
    slow = getattr(item, "slow", {})
    rows = [
        (code(name), *(setting(getattr(settings, field)) for field in fields), *([slow.get(name, "")] if slow else []))
        for name, settings in item.protocols.items()
    ]
    return table(["protocol", *map(code, fields), *(["beware"] if slow else [])], rows)


def protocol_text(item: Any) -> str:
    """What the settings mean, as their class says."""
    cls = type(next(iter(item.protocols.values())))
    return as_markdown(inspect.getdoc(cls) or "", [field.name for field in dataclasses.fields(cls)])
