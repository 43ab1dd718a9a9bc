"""Links from a page under docs/ to what lies beside docs/: right in a checkout, and rewritten for the site."""

from __future__ import annotations

import posixpath
import re

LINK = re.compile(r"(?<=\]\()(\.\./[^)#\s]*)")
PLACES = {  # beside docs/ → on the site
    "metrics": "reference/metrics/index.md",
    "datasets": "reference/datasets/index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
PICTURES = {"results/mini/leaderboard.png": "pictures/mini.png"}
CARD = re.compile(r"(metrics|datasets)/[\w.-]+\.md")


def for_the_site(markdown: str, page: str) -> str:
    """A page's Markdown with those links rewritten; page: its place under docs/."""
    return LINK.sub(lambda link: rewritten(link[1], posixpath.dirname(page)), markdown)


def rewritten(link: str, folder: str) -> str:
    """A link as a page in this folder under docs/ needs it on the site; left as it is where it stays inside docs/."""
    target = posixpath.normpath(posixpath.join("docs", folder, link))
    if target.startswith("docs/"):
        return link
    place = f"reference/{target}" if CARD.fullmatch(target) else (PLACES | PICTURES).get(target)
    return posixpath.relpath(place, folder or ".") if place else link
