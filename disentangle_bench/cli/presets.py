"""`disentangle-bench presets`: the studies that the package ships."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.padding import Padding
from rich.text import Text

from disentangle_bench.display import console
from disentangle_bench.errors import unknown


def presets(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Print this preset's file.")] = None,
) -> None:
    """List the presets, studies that `run NAME` trains; with a NAME, print its file, to be the start of your own."""
    from disentangle_bench.studies.config import PRESETS, load_study, preset_names, seed_ranges

    if name is not None:
        if name not in preset_names():
            raise unknown("preset", name, preset_names())
        typer.echo((PRESETS / f"{name}.yaml").read_text(encoding="utf-8").rstrip())
        return
    for each in preset_names():
        study = load_study(each, {}, [])
        what = f"{', '.join(study.models)} on {', '.join(study.datasets)}, seeds {seed_ranges(study.seeds)}"
        console().print(Text(each, style="bold"))
        console().print(Padding(Text(f"{what}\n{study.description.strip()}"), (0, 0, 1, 4)), soft_wrap=False)
    console().print("What one would train, and what that costs:  disentangle-bench run PRESET --dry-run", markup=False)
