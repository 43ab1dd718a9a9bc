"""`disentangle-bench score`: codes of a finished trial, of a file, or of an encoder of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from disentangle_bench import datasets
from disentangle_bench.cli.options import Data, OldCsv, Plugins, Results, load_plugins, workspace
from disentangle_bench.cli.score_tables import notes, scores_table, show_beside_papers
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.display import Bar, console, fitted, note
from disentangle_bench.errors import UserError

FILES = ".npy, .npz, .csv, .parquet or .pt"
OWN = "Codes and encoders of your own"  # a panel of --help


def score(
    trial: Annotated[str | None, typer.Argument(metavar="TRIAL", help="A trial's id, or the beginning of it.")] = None,
    codes: Annotated[Path | None, typer.Option(help=f"Your own codes: (N, D), {FILES}.", rich_help_panel=OWN)] = None,
    factors: Annotated[
        Path | None, typer.Option(help=f"Their factors: (N, K) whole numbers, {FILES}.", rich_help_panel=OWN)
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:FUNCTION|FILE",
            help="Your own encoder, images (B, C, H, W) to codes (B, D): a Python function, or a file of TorchScript "
            "(.pt), torch.export (.pt2) or ONNX (.onnx).",
            rich_help_panel=OWN,
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The dataset to encode, or that the codes are of.", rich_help_panel=OWN)
    ] = None,
    pixels: Annotated[
        Literal["uint8", "unit", "signed"] | None,
        typer.Option(
            help="What the encoder gets: uint8, 0 to 255 (default for a function); unit: float32, 0 to 1 (default for "
            "a program); signed: float32, -1 to 1.",
            rich_help_panel=OWN,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images that the encoder gets at a time (default: 256).", rich_help_panel=OWN),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where a program runs: cpu, cuda, cuda:1 (default: cpu).", rich_help_panel=OWN)
    ] = None,
    save_codes: Annotated[
        Path | None,
        typer.Option(help="Also write the encoder's codes here, as .npy, to score them again.", rich_help_panel=OWN),
    ] = None,
    metric: Annotated[
        list[str],
        typer.Option(
            metavar="METRIC|METRIC/PROTOCOL",
            help="METRIC, under its default protocol: robust where it has one; METRIC/PROTOCOL; or METRIC/all, under "
            "each. Repeatable (default: every metric of codes; protocols that take minutes by name alone).",
        ),
    ] = [],  # noqa: B006
    seed: Annotated[int | None, typer.Option(min=0, help="The metric's seed (default: the trial's, or 0).")] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=1, help="Score by so many of the metric's own seeds, and show their spread in a column 'sampling'."
        ),
    ] = 1,
    out: Annotated[Path | None, typer.Option(help="Also write the numbers here, as CSV.")] = None,
    csv: OldCsv = None,
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Score a finished trial's stored codes again, codes of your own, or an encoder of your own. No record is changed.

    With --dataset, all scores stand beside their floor, their ceiling, and what the papers report.

    Sampling, shown with --repeats: how far a score moves with the metric's own draws, on the same codes.
    """
    from disentangle_bench.evaluation import code_files, scoring

    refuse_mixtures(trial, codes, factors, encoder, dataset)
    idle = {"--pixels": pixels, "--batch-size": batch_size, "--device": device, "--save-codes": save_codes}
    refuse_idle(encoder, idle)
    load_plugins(plugin)
    for name in metric:
        scoring.protocols(name)  # a name that there isn't is told before anything is encoded
    data: Dataset | None = None
    if trial is not None:
        from disentangle_bench.trials.finished import trial_table

        record, data, table = trial_table(trial, workspace(results, data_root, plugin))
        seed = record.spec.seed if seed is None else seed
    else:
        if dataset is not None:
            with Bar(f"preparing {dataset}") as progress:
                data = datasets.load(dataset, data_root, progress=progress)
        if encoder is not None and data is not None:
            table = CodeTable.of(data, encoded(encoder, data, pixels, batch_size, device, save_codes))
        elif codes is not None:
            table = code_files.read_table(codes, factors, data)
    with Bar("scoring") as progress:
        rows = scoring.score_rows(table, metric, seed or 0, repeats, data, progress)
    written = out or csv
    if trial is None and data is not None:
        show_beside_papers(rows, encoder or str(codes), data, table.codes.shape[1], results, repeats, written)
    else:
        console().print(fitted(scores_table(rows, repeats), "sampling"))
        if written is not None:
            scoring.write_rows(rows, written)
    for line in notes(rows, repeats):
        console().print(line, markup=False)
    if written is not None:
        console().print(f"scores  {written}", markup=False)


def refuse_mixtures(trial: Any, codes: Any, factors: Any, encoder: Any, dataset: Any) -> None:
    """Raise `UserError` unless one thing is to be scored, with all that it needs and no more."""
    given = (trial is not None, codes is not None, encoder is not None)
    alone = trial is not None and factors is None and dataset is None
    own = codes is not None and (factors is None or dataset is None)
    if sum(given) != 1 or not (alone or own or (encoder is not None and factors is None)):
        raise UserError(
            "score takes either a TRIAL, or --codes with --factors or with --dataset, or --encoder with --dataset."
        )
    if encoder is not None and dataset is None:
        raise UserError("--dataset is missing: name the dataset whose images the encoder is given.")


def refuse_idle(encoder: str | None, options: dict[str, Any]) -> None:
    """Raise `UserError` for an option of encoders where there is none."""
    idle = [name for name, value in options.items() if value is not None]
    if encoder is None and idle:
        raise UserError(f"{idle[0]} is for an --encoder, and none is given.")


def encoded(
    text: str, data: Dataset, pixels: Any, batch_size: int | None, device: str | None, save_codes: Path | None
) -> np.ndarray:
    """The codes of the dataset by the encoder that a text names, after a rehearsal on a few images."""
    import io

    from disentangle_bench.evaluation.encoder_files import load_encoder
    from disentangle_bench.evaluation.encoders import rehearse
    from disentangle_bench.files import write_file
    from disentangle_bench.metrics import ENCODE_BATCH, encode_dataset

    encode = load_encoder(text, pixels, device)
    rehearse(encode, data)
    with Bar("encoding") as progress:
        codes = encode_dataset(encode, data, batch_size or ENCODE_BATCH, progress)
    if save_codes is not None:
        buffer = io.BytesIO()
        np.save(buffer, codes)
        write_file(save_codes, buffer.getvalue())
        note(f"the codes are in {save_codes}; score them again with --codes {save_codes} --dataset {data.name}.")
    return codes
