"""The cards of metrics and datasets, and other files of the checkout that are pages as they are."""

from __future__ import annotations

import re
from pathlib import Path

from disentangle_bench import registry

ROOT = Path(__file__).resolve().parents[2]
FOLDERS: dict[str, tuple[registry.Kind, ...]] = {"metrics": ("metric", "comparison"), "datasets": ("dataset",)}
FAMILIES = {"datasets": ["correlated"]}  # cards of what many of them can be


def read(path: str) -> str:
    """A file of the checkout."""
    return (ROOT / path).read_text(encoding="utf-8")


def names(folder: str) -> list[str]:
    """What has a card in this folder, in the registry's order."""
    return [name for kind in FOLDERS[folder] for name in registry.BUILT_IN[kind]] + FAMILIES.get(folder, [])


def pages() -> dict[str, str]:
    """Every card: its place under docs/, and its text. Cards lie side by side as in the checkout."""
    return {
        f"reference/{folder}/{name}.md": read(f"{folder}/{name}.md") for folder in FOLDERS for name in names(folder)
    }


def nav(folder: str) -> list[dict[str, str]]:
    """The cards of a folder, for the nav."""
    return [{name: f"reference/{folder}/{name}.md"} for name in names(folder)]


def row(card: str, title: str) -> str:
    """What the table at the head of a card says under this title; empty where it has no such row."""
    found = re.search(rf"^\| {re.escape(title)} \| (.*) \|$", card, re.MULTILINE)
    return found[1] if found else ""
