"""`disentangle-bench why`: what became of a trial; and what `run` says of those that crashed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from disentangle_bench.cli.options import Data, Plugins, Results, workspace
from disentangle_bench.display import console


def why(
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="A trial's id, or the beginning of it.")],
    results: Results = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Say why a trial failed or diverged: the cause, the traceback, the last losses before a divergence."""
    from disentangle_bench.trials.finished import find_record
    from disentangle_bench.trials.why import explain

    place = workspace(results, data_root, plugin)
    for line in explain(find_record(place, trial), place):
        console().print(line, markup=False, soft_wrap=True)


def tell_failures(study: Any, place: Any) -> None:
    """Say on stderr which of a study's trials crashed: each cause once, with a record, and where to look next."""
    from disentangle_bench.blame import shown
    from disentangle_bench.trials.records import read_records
    from disentangle_bench.trials.why import raised_at

    failed: dict[str, list[Any]] = {}
    for record in read_records(place, [trial.id for trial in study.trials]):
        if record.status == "failed":
            failed.setdefault(f"{record.spec.label}: {record.cause}", []).append(record)
    for cause, records in failed.items():
        first, more = records[0], f", and {len(records) - 1} more" if records[1:] else ""
        plugin = next((path for path in place.plugins if Path(path).name == first.plugin), first.plugin)
        check = f"; try `disentangle-bench check {plugin}`" if plugin else ""
        own = "".join(f"{line}\n" for line in raised_at(first))
        sys.stderr.write(
            f"{cause}\n{own}"
            f"  in {first.spec.title} ({shown(place.record(first.id))}){more}\n"
            f"  `disentangle-bench why {first.id}` shows the traceback{check}\n"
        )
    if failed:
        count = sum(map(len, failed.values()))
        sys.stderr.write(f"{count} {'trial' if count == 1 else 'trials'} crashed. Run again to try again.\n")


def tell_log_failures(study: Any, place: Any) -> None:
    """Say once for each cause which trials' logs are not whole."""
    from disentangle_bench.display import note
    from disentangle_bench.trials.records import read_records

    told: dict[str, list[str]] = {}
    for record in read_records(place, [trial.id for trial in study.trials]):
        for failure in record.log_failures:
            told.setdefault(failure, []).append(record.spec.title)
    for failure, trials in told.items():
        more = f", and {len(trials) - 1} more" if trials[1:] else ""
        note(f"{failure}. It was {trials[0]}{more}; scores and records are not touched by that.")
