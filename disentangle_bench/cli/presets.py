"""`disentangle-bench presets`: the studies that the package ships."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from disentangle_bench.display import console, fitted


def presets(name: Annotated[str | None, typer.Argument(help="Print this preset's file.")] = None) -> None:
    """List the presets, studies that `run NAME` trains; with a NAME, print its file, to be the start of your own."""
    from disentangle_bench.errors import unknown
    from disentangle_bench.studies.config import PRESETS, load_study, preset_names, seed_ranges

    if name is not None:
        if name not in preset_names():
            raise unknown("preset", name, preset_names())
        console().print((PRESETS / f"{name}.yaml").read_text(encoding="utf-8").rstrip(), markup=False, soft_wrap=True)
        return
    table = Table(show_lines=True)
    for column in ("preset", "what it is", "models", "datasets", "seeds"):
        table.add_column(column, overflow="fold")
    table.columns[0].no_wrap = True
    for each in preset_names():
        study = load_study(each, {}, [])
        row = (", ".join(study.models), ", ".join(study.datasets), seed_ranges(study.seeds))
        table.add_row(each, study.description.strip(), *row)
    console().print(fitted(table, "seeds", "datasets", "models"))
    console().print(
        "disentangle-bench run PRESET --dry-run says what one would train and what that costs.", markup=False
    )
