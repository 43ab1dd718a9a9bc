"""A finished trial's model as a folder that stands for itself: programs, weights, settings, a card, a script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save

from disentangle_bench.display import note
from disentangle_bench.errors import UserError
from disentangle_bench.exports.card import card
from disentangle_bench.exports.programs import NoOnnx, onnx_file, programs, torch_file
from disentangle_bench.exports.script import INPUTS, onnx_script, torch_script
from disentangle_bench.files import make_folder, write_file
from disentangle_bench.models.base import Model
from disentangle_bench.pictures.animation import traversal_gif
from disentangle_bench.trials.finished import FinishedTrial
from disentangle_bench.trials.records import Record

FORMAT = 1  # of config.json


def export_trial(trial: FinishedTrial, to: str | Path) -> list[Path]:
    """Write a trial's model into a new or empty folder, in files that are read without this package; their paths.

    encoder.pt2, generator.pt2: programs of torch.export. Images are float32 (N, C, H, W), 0 to 1; codes float32 (N, D);
    a conditional model's generator takes codes and labels, int64 (N,).
    encoder.onnx, generator.onnx: the same as ONNX, where the extra `onnx` is installed; else a note says why not.
    model.safetensors: all weights. config.json: what was trained, and its scores. traversal.gif, use.py, README.md.

    Nothing is written before all is made, and nothing is left where writing fails. Raises `UserError` for a folder that
    holds something, and where a plugin's model can't be exported.
    """
    folder = Path(to).expanduser()
    refuse_taken(folder)
    return write_all(folder, contents(trial))


def contents(trial: FinishedTrial) -> dict[str, bytes]:
    """Every file by its name."""
    model = trial.model
    made = programs(model, trial.record.classes, trial.spec.seed)
    generator = made["generator"]
    sizes = {"image_shape": trial.image_shape, "code_width": generator.example_inputs[0][0].shape[1]}
    record = trial.record.model_copy(update=sizes)  # records of earlier versions lack them
    files = {f"{name}.pt2": torch_file(program) for name, program in made.items()}
    use, onnx = torch_script(generator), ""
    try:
        inputs = INPUTS[: len(generator.example_inputs[0])]
        files |= {
            "encoder.onnx": onnx_file(made["encoder"], ["images"], "codes"),
            "generator.onnx": onnx_file(generator, inputs, "images"),
        }
        onnx = onnx_script(generator)
    except NoOnnx as reason:
        note(f"no ONNX files: {reason}.")
    files["model.safetensors"] = weights(model, record)
    files["config.json"] = (json.dumps(configuration(record, model), indent=1) + "\n").encode()
    files["traversal.gif"] = traversal_gif(model, record.spec.seed)
    files["use.py"] = use.encode()
    cache = trial.workspace.results / "runs" / "calibration"
    files["README.md"] = card(record, model, files, use, onnx, cache).encode()
    return files


def weights(model: Model, record: Record) -> bytes:
    """All parameters and buffers, by their names in the model; plain in memory and none twice, as the format wants."""
    state = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}
    return save(state, {"format": "pt", "trial": record.id, "model": record.spec.model})


def configuration(record: Record, model: Model) -> dict[str, Any]:
    """What was trained on what and how, what its inputs are, what it scored, and the versions that made it."""
    low_high = model.code_range
    return {
        "format": FORMAT,
        "trial": record.id,
        **record.spec.model_dump(mode="json"),
        "image_shape": record.image_shape,
        "classes": record.classes if model.conditional else 0,
        "code_width": record.code_width,
        "code_groups": model.code_groups(),
        "code_range": None if low_high is None else list(low_high),
        "code_source": record.code_source,
        "paper": record.paper,
        "plugin": record.plugin,
        "parameters": record.parameters,
        "scores": record.scores,
        "environment": record.environment,
    }


def refuse_taken(folder: Path) -> None:
    """Raise `UserError` where the folder can't be a new or an empty one."""
    if folder.is_dir():
        held = sorted(path.name for path in folder.iterdir())
        if held:
            more = f" and {len(held) - 3} more" if len(held) > 3 else ""
            raise UserError(
                f"--to {folder}: it holds {', '.join(held[:3])}{more} already; name a folder that is new or empty."
            )
    elif folder.exists() or folder.is_symlink():
        raise UserError(f"--to {folder} is a file, not a folder; name a folder that is new or empty.")


def write_all(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write the files, and none where one can't be written."""
    new = not folder.exists()
    make_folder(folder)
    paths: list[Path] = []
    try:
        for name, content in files.items():
            write_file(folder / name, content)
            paths.append(folder / name)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        if new:
            folder.rmdir()
        raise
    return paths
