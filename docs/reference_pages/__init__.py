"""The pages of the site that are made from the code, so that they can't fall behind it."""

from __future__ import annotations

from typing import Any

from . import cards, commands, datasets, metrics, models, presets, python_api


def made_pages() -> dict[str, str]:
    """Every page that is made: its place under docs/, and its Markdown."""
    return {
        "reference/commands.md": commands.page(),
        "reference/models.md": models.page(),
        "reference/metrics/index.md": metrics.page(),
        "reference/datasets/index.md": datasets.page(),
        "reference/presets.md": presets.page(),
        **python_api.pages(),
        **cards.pages(),
        "changelog.md": cards.read("CHANGELOG.md"),
        "contributing.md": cards.read("CONTRIBUTING.md"),
    }


def reference_nav() -> list[Any]:
    """The section Reference, as mkdocs.yml would list it."""
    return [
        {"Commands": "reference/commands.md"},
        {"Python": python_api.nav()},
        {"Models": "reference/models.md"},
        {"Metrics": ["reference/metrics/index.md", *cards.nav("metrics")]},
        {"Datasets": ["reference/datasets/index.md", *cards.nav("datasets")]},
        {"Presets": "reference/presets.md"},
    ]
