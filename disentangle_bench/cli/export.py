"""`disentangle-bench export`: a trained model for one's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from disentangle_bench.cli.options import Data, Plugins, Results
from disentangle_bench.display import console, size


def export(
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="A trial's id, or the beginning of it.")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write it: a folder that is new or empty.")],
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Write a finished trial's encoder and generator for use without this package: torch.export, ONNX, safetensors.

    Beside them lie the configuration, a card with the scores, a script that loads them, and a traversal as GIF.
    """
    from disentangle_bench.exports.folder import export_trial, refuse_taken
    from disentangle_bench.trials.finished import load_trial

    refuse_taken(to.expanduser())
    for path in export_trial(load_trial(trial, results, data_root, tuple(plugin)), to):
        console().print(f"{size(path.stat().st_size):>8}  {path}", markup=False)
