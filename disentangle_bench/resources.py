"""The files that the package ships beside its code: presets, cards, the papers' tables, golden scores.

In a checkout they lie where their readers look for them, in `metrics/`, `datasets/` and `results/published/`; a wheel
has them under `disentangle_bench/shipped/`.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """The folder of shipped files: `presets`, `metrics`, `datasets` (cards), or `results/published`."""
    for folder in (PACKAGE / name if name == "presets" else PACKAGE / "shipped" / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}: neither in {PACKAGE / 'shipped'} nor in {PACKAGE.parent}; is the package whole?")
