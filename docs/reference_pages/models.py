"""Every model: its paper, where its codes come from, its players and its configurations."""

from __future__ import annotations

import inspect
from typing import Any

from disentangle_bench import registry
from disentangle_bench.models.base import Between, Model
from disentangle_bench.models.sizes import player_sizes

from .markdown import code, codes, facts, number, setting, table

HEAD = """# Models

A configuration that is named as a dataset is the published one for it; `small` is for studies on a CPU. A setting is
changed with `--set MODEL.SETTING=VALUE`. Parameters are those of the first configuration, on its dataset's images."""


def page() -> str:
    """The whole page."""
    models = [registry.get("model", name) for name in registry.BUILT_IN["model"]]
    rows = [(f"[{cls.name}](#{cls.name})", cls.paper, cls.code_source, codes(cls.configurations)) for cls in models]
    summary = table(["model", "paper", "codes from", "configurations"], rows)
    return "\n\n".join([HEAD, summary, *map(section, models)]) + "\n"


def section(cls: type[Model]) -> str:
    """A model."""
    sizes = player_sizes(cls)
    known = [
        ("paper", cls.paper),
        ("codes from", cls.code_source),
        ("given labels", setting(cls.conditional)),
        ("players and parameters", ", ".join(f"{code(name)} {count:,}" for name, count in sizes.items())),
    ]
    if cls.version > 1:
        known.append(("version", f"{cls.version}; another one's trials are told apart"))
    if cls.search_space:
        space = "; ".join(f"{code(name)} {searched(values)}" for name, values in cls.search_space.items())
        known.append(("`tune` searches", space))
    return "\n\n".join(
        [f"## {cls.name}", inspect.getdoc(cls) or "", facts(known), f"### Settings of {cls.name}", settings(cls)]
    )


def settings(cls: type[Model]) -> str:
    """The values of every setting, a column a configuration."""
    rows = [
        (code(name), field.description or "", *(setting(getattr(each, name)) for each in cls.configurations.values()))
        for name, field in cls.Config.model_fields.items()
    ]
    return table(["setting", "what it is", *map(code, cls.configurations)], rows)


def searched(values: Between | tuple[Any, ...]) -> str:
    """What a search draws a setting from."""
    if isinstance(values, Between):
        how = ", in the logarithm" if values.log else ""
        return f"from {number(values.low)} to {number(values.high)}{how}"
    return "one of " + ", ".join(map(setting, values))
