"""What became of a trial, in words: the cause, the traceback, and what its losses were before it diverged."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from disentangle_bench.blame import shown
from disentangle_bench.trials.records import Record, Workspace

ROWS = 3  # of the curves, the last ones before a divergence


def explain(record: Record, workspace: Workspace) -> list[str]:
    """The lines that say why a trial ended as it did."""
    folder = workspace.trial(record.id)
    lines = [f"{record.spec.title} ({record.id}) {record.status}: {record.cause}."]
    if record.status == "finished":
        count = sum("skip" not in result for protocols in record.scores.values() for result in protocols.values())
        skipped = sum(len(protocols) for protocols in record.scores.values()) - count
        lines = [f"{record.spec.title} ({record.id}) finished: nothing went wrong."]
        lines += [f"It has {count} scores; {skipped} were skipped, and its record says why."]
    if record.status == "diverged":
        lines += before(folder / "curves.csv")
    if record.traceback:
        lines += ["", *record.traceback.rstrip().splitlines(), ""]
    if record.status == "failed":
        lines += remedies(record)
    return [*lines, f"record  {shown(workspace.record(record.id))}"]


def raised_at(record: Record) -> list[str]:
    """The two lines of a crashed trial's traceback that its cause names: a place in a plugin, and what stands there."""
    named = re.search(r", at (.+):(\d+), in (\S+)$", record.cause or "")
    lines = (record.traceback or "").splitlines()
    if named is None:
        return []
    end = f'{named[1]}", line {named[2]}, in {named[3]}'
    found = [number for number, line in enumerate(lines) if line.endswith(end)]
    return lines[found[-1] : found[-1] + 2] if found else []


def before(path: Path) -> list[str]:
    """The last rows of a diverged trial's curves, in words."""
    if not path.is_file():  # each training writes one: the record came without it
        return ["Its curves are not here."]
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    if not rows:
        return ["No step was logged before that; `--set intervals.log=1` logs each one."]
    columns = [name for name in rows[-1] if name.startswith("loss/")]
    lines = [f"The last steps that were logged before that, of {len(rows)} in {shown(path)}:"]
    for row in rows[-ROWS:]:
        losses = ", ".join(f"{name.removeprefix('loss/')} {float(row[name]):.4g}" for name in columns if row[name])
        lines.append(f"  step {int(row['step']):,}: the loss of {losses}")
    return lines


def remedies(record: Record) -> list[str]:
    """What to try after a crash."""
    again = "Run the study again to try again: training goes on from the last checkpoint."
    if record.spec.model_source is None:
        return [again]
    check = f"Try `disentangle-bench check {record.plugin or 'FILE.py'}`, which tries the plugin's parts one by one."
    return [check, "A plugin that was mended is another model, and is trained from its first step."]
