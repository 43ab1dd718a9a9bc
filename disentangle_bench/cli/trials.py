"""`disentangle-bench traverse`: a finished trial looked at again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from disentangle_bench.cli.options import Data, Plugins, Results, workspace
from disentangle_bench.display import console


def traverse(
    trial: Annotated[str, typer.Argument(help="A trial's id, or the beginning of it.")],
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("traversal.png"),
    seed: Annotated[int, typer.Option(min=0, help="Which random code to start from.")] = 0,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Draw what each code of a finished trial changes in the image."""
    from disentangle_bench.pictures.traversal import write_traversal
    from disentangle_bench.trials.finished import load_trial

    workspace(results, data_root, plugin)
    loaded = load_trial(trial, results, data_root, tuple(plugin))
    write_traversal(loaded.model, seed, out, loaded.spec.title)
    console().print(f"traversal  {out}", markup=False)
