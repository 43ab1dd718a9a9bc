"""Cards: what is known of one metric, dataset or model, as Markdown; formatted on a terminal, as it is in a pipe.

A metric's or a dataset's card is a file that the package ships. A model has none: its class says it all. What a plugin
brings is told from its class or its `Metric`, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, Literal

from rich.markdown import Markdown

from disentangle_bench import registry
from disentangle_bench.contracts import Comparison, Dataset, ImageMetric, Metric
from disentangle_bench.datasets.correlated import Correlated
from disentangle_bench.display import console
from disentangle_bench.errors import unknown
from disentangle_bench.resources import shipped


def show_card(text: str) -> None:
    """Print Markdown: formatted for people, raw for what reads a pipe."""
    out = console()
    if out.is_terminal:
        out.print(Markdown(text))
    else:
        out.out(text.rstrip(), highlight=False)


def metric_card(name: str) -> str:
    """The card of a metric or a comparison; `UserError` where there is no such."""
    known = [*registry.names("metric"), *registry.names("comparison")]
    if name not in known:
        raise unknown("metric", name, known)
    item = registry.get("comparison" if name in registry.names("comparison") else "metric", name)
    return card_file("metrics", [name]) or card_of_metric(item)


def dataset_card(name: str, commands: Iterable[str] = ()) -> str:
    """The card of a dataset, or of its family; `UserError` where there is none. commands: what else a name could be."""
    if not registry.known_dataset(name):
        raise unknown("dataset or command", name, [*registry.names("dataset"), *commands])
    cls = registry.get("dataset", name)
    whole = name if name in registry.names("dataset") else name.removesuffix("-draft")
    kind = ["correlated"] if issubclass(cls, Correlated) else []
    found = card_file("datasets", [*kind, whole, *registry.families(whole)])
    if found and name not in registry.names("dataset"):  # a member of a family, which its card tells of
        return f"`{name}`: {cls.description}.\n\n{found}"
    return found or card_of_dataset(cls)


def card_file(folder: Literal["metrics", "datasets"], names: Iterable[str]) -> str | None:
    """The text of the first of these names' cards that the package ships, None where it ships none."""
    paths = [shipped(folder) / f"{name}.md" for name in names]
    return next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), None)


def card_of_metric(item: Metric | ImageMetric | Comparison) -> str:
    """What a metric declares of itself."""
    better = "higher" if getattr(item, "higher_is_better", True) else "lower"
    rows = [
        ("cite", item.cite),
        ("scores", scored(item)),
        ("range", "{:g} to {:g}".format(*getattr(item, "range", (0.0, 1.0)))),
        ("better", better),
        ("results", ", ".join(getattr(item, "keys", ("scores",)))),
        ("protocols", ", ".join(f"`{name}`" for name in ordered(item))),
        *((f"`{name}`", cost) for name, cost in getattr(item, "slow", {}).items()),
    ]
    return card(item.name, item.title, inspect.getdoc(item.compute), rows)


def card_of_dataset(cls: type[Dataset]) -> str:
    """What a dataset declares of itself."""
    factors = ", ".join(f"{name} {size}" for name, size in zip(cls.factor_names, cls.factor_sizes, strict=True))
    rows = [
        ("images", "×".join(map(str, getattr(cls, "image_shape", ())))),
        ("factors", factors or f"none: {cls.no_factors}".rstrip(": ")),
        ("label", cls.label_factor or ", ".join(cls.class_names)),
        ("drawn anew", cls.nuisance),
        ("download", cls.download()),
    ]
    return card(cls.name, cls.description, inspect.getdoc(getattr(cls, "whole", cls)), rows)  # whole: of a draft


def model_card(name: str) -> str:
    """What a model's class says: paper, losses, players, and every setting of its configurations."""
    from disentangle_bench.models.sizes import player_sizes

    cls = registry.get("model", name)
    players = ", ".join(f"`{player}` {count:,}" for player, count in player_sizes(cls).items())
    rows = [
        ("paper", cls.paper),
        ("codes from", cls.code_source),
        ("given labels", "yes" if cls.conditional else "no"),
        ("version", str(cls.version) if cls.version > 1 else ""),
        *((f"`{phase}`", own_words(cls, phase)) for phase in dict.fromkeys(cls.phases)),
        ("players", own_words(cls, "players")),
        ("parameters", players),
        ("`encode`", own_words(cls, "encode")),
        ("`generate`", own_words(cls, "generate")),
        ("`tune` searches", ", ".join(f"`{field}`" for field in cls.search_space)),
    ]
    return card(name, "", inspect.getdoc(cls), rows) + "\n" + configurations(cls)


def configurations(cls: Any) -> str:
    """Every setting of the first configuration, and those in which the others differ from it."""
    (first, base), *others = cls.configurations.items()
    rows = [
        (f"`{field}`", value(getattr(base, field)), about.description or "")
        for field, about in cls.Config.model_fields.items()
    ]
    lines = ["## Configurations", "", f"`{first}`:", "", *table(("setting", "value", ""), rows), ""]
    for name, config in others:
        changed = {field: getattr(config, field) for field in cls.Config.model_fields}
        parts = [f"{field} {value(new)}" for field, new in changed.items() if new != getattr(base, field)]
        lines.append(f"- `{name}`: as `{first}`" + (f", but {', '.join(parts)}" if parts else ""))
    example = next(iter(cls.search_space), "steps")
    ask = f"Change one with `--set {cls.name}.{example}=VALUE`."
    return "\n".join([*lines, *([""] if others else []), ask, ""])


def card(name: str, title: str, about: str | None, rows: Iterable[tuple[str, str]]) -> str:
    """Markdown of a card; rows without content are left out."""
    facts = [row for row in rows if row[1]]
    head = f"# {name}: {title}" if title else f"# {name}"
    return "\n".join([head, "", *([about, ""] if about else []), *table(("", ""), facts), ""])


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [head, ("---",) * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def own_words(cls: Any, method: str) -> str:
    """The first paragraph of a method's docstring, in one line; empty where it is but the contract's."""
    from disentangle_bench.models.base import Model

    text = inspect.getdoc(getattr(cls, method, None)) or ""
    return "" if text == inspect.getdoc(getattr(Model, method, None)) else " ".join(text.partition("\n\n")[0].split())


def value(setting: Any) -> str:
    """A setting's value as people write it."""
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    if isinstance(setting, int):
        return f"{setting:,}"
    if isinstance(setting, tuple):
        return f"[{', '.join(map(value, setting))}]"
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def scored(item: Metric | ImageMetric | Comparison) -> str:
    """What a metric looks at."""
    if isinstance(item, Comparison):
        return "seeds"
    return "images" if isinstance(item, ImageMetric) else "codes"


def ordered(item: Metric | ImageMetric | Comparison) -> list[str]:
    """The protocols, the default one first."""
    return list(dict.fromkeys([item.default_protocol, *item.protocols]))
