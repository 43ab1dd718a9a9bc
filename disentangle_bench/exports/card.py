"""The card of an exported model: what it is, how it is used, what it scored and how, and whom to cite."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

from disentangle_bench import registry
from disentangle_bench.contracts import Comparison, Score
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.calibration import kept
from disentangle_bench.models.base import Model
from disentangle_bench.trials.records import Record

ABOUT = {  # the files of a folder, but for the card itself
    "encoder.pt2": "images to codes, for `torch.export.load`",
    "generator.pt2": "codes to images, for `torch.export.load`",
    "encoder.onnx": "the encoder for ONNX runtimes",
    "generator.onnx": "the generator for ONNX runtimes",
    "model.safetensors": "all weights, those of every player, by the names of the model's own code",
    "config.json": "what was trained on what, by which settings; scores; versions",
    "traversal.gif": "what each code changes in an image",
    "use.py": "a script that loads encoder and generator, with torch alone",
}


def card(record: Record, model: Model, files: Container[str], use: str, onnx: str, cache: Path) -> str:
    """The card as Markdown.

    files: those of the folder. use, onnx: the scripts that it shows; the latter is empty where there are no ONNX files.
    cache: where floors and ceilings are kept; those that were never computed are left empty.
    """
    spec = record.spec
    shape = ", ".join(map(str, record.image_shape or ()))
    suite = record.environment.get("disentangle-bench", "")
    parts = [
        f"# {spec.label} on {spec.dataset}, seed {spec.seed}",
        f"An encoder and a generator, trained and scored by disentangle-bench {suite} as its trial `{record.id}`.",
        "![Each code swept over its values](traversal.gif)",
        "Each tile sweeps one code of the same random start, in their order from left to right, then row by row.",
        "## Use",
        f"```python\n{use.strip()}\n```",
        *(["With ONNX:", f"```python\n{onnx.strip()}\n```"] if onnx else []),
        *table(("file", "what it is"), ((f"`{name}`", about) for name, about in ABOUT.items() if name in files)),
        *table(
            ("", ""),
            [
                ("images", f"float32 (N, {shape}), 0 to 1: a dataset's bytes divided by 255"),
                ("codes", f"float32 (N, {record.code_width}), {in_words(model)}"),
                *([("labels", f"int64 (N,), 0 to {record.classes - 1}")] if model.conditional else []),
            ],
        ),
        "## Scores",
        "Of the codes of this one seed, from its last step. A score is comparable under the same protocol alone; "
        "floor and ceiling are those of random codes and of the true factors (of noise and of real images).",
        *table(("metric", "protocol", "result", "value", "floor", "ceiling", "better"), score_rows(record, cache)),
        "## How it was made",
        *table(("", ""), [(name, value) for name, value in facts(record).items() if value]),
        *table(("setting", "value"), ((f"`{name}`", f"{json.dumps(value)}") for name, value in spec.config.items())),
        "## Cite",
        "\n".join(f"- {line}" for line in citations(record, suite)),
    ]
    return "\n\n".join(parts) + "\n"


def in_words(model: Model) -> str:
    """What a code's columns are, and their range."""
    groups = [f"{group[0]} to {group[-1]}" for group in model.code_groups() or [] if len(group) > 1]
    each = f"columns {', '.join(groups)}: one value each, one-hot" if groups else "each column a code"
    return each if model.code_range is None else "{}; traversals sweep {:g} to {:g}".format(each, *model.code_range)


def score_rows(record: Record, cache: Path) -> Iterator[tuple[str, ...]]:
    """A row for each score; for a metric that gave none, its reason."""
    for name, protocols in record.scores.items():
        metric = known(name)
        keys = getattr(metric, "keys", ("score",))
        better = "" if metric is None else "higher" if getattr(metric, "higher_is_better", True) else "lower"
        for protocol, result in protocols.items():
            if "skip" in result:
                yield name, f"`{protocol}`", "", f"none: {result['skip']}", "", "", ""
                continue
            ends: Mapping[str, Mapping[str, float]] = {}
            if isinstance(metric, Score) and record.code_width is not None:
                ends = kept(record.spec.dataset_checksum, name, protocol, record.code_width, cache) or {}
            for key in keys:
                if key in result:
                    limits = [f"{ends[key][end]:.3f}" if key in ends else "" for end in ("floor", "ceiling")]
                    yield name, f"`{protocol}`", key, f"{result[key]:.4f}", *limits, better


def known(name: str) -> Score | Comparison | None:
    """The metric of this name; None where a plugin's is not at hand."""
    try:
        found: Score | Comparison = registry.get("metric", name)
    except UserError:
        return None
    return found


def facts(record: Record) -> dict[str, str]:
    """What a trial was."""
    spec = record.spec
    evaluated = "{:,} of {:,} images".format(*record.evaluated) if record.evaluated else ""
    return {
        "model": f"`{spec.model}`, {record.paper}" + (f", from the plugin `{record.plugin}`" if record.plugin else ""),
        "configuration": f"`{spec.configuration}`",
        "codes from": record.code_source,
        "dataset": f"`{spec.dataset}`, sha256 `{spec.dataset_checksum[:12]}…`; its own licence holds for what was "
        "learned from it",
        "encoded and scored": evaluated,
        "seed": str(spec.seed),
        "parameters": ", ".join(f"{player} {count:,}" for player, count in record.parameters.items()),
        "numerics": ", ".join(f"{name} {value}" for name, value in spec.numerics),
        "versions": ", ".join(f"{name} {value}" for name, value in record.environment.items()),
    }


def citations(record: Record, suite: str) -> Iterator[str]:
    """Whom to cite: the model's paper, each metric's, the dataset's, the suite."""
    yield f"the model: {record.paper}"
    yield f"the dataset: `disentangle-bench datasets {record.spec.dataset}` says whom"
    cites = {metric.cite: name for name in record.scores if (metric := known(name)) is not None}
    yield from (f"{name}: {cite}" for cite, name in cites.items())
    yield f"the scores: disentangle-bench {suite}, trial {record.id}"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A Markdown table as one part; none without rows."""
    found = list(rows)
    if not found:
        return []
    lines = [head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in found)]
    return ["\n".join("| " + " | ".join(line) + " |" for line in lines)]
