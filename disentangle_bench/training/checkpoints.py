"""Checkpoints: written whole or not at all, and read without executing anything in them."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from disentangle_bench.errors import UserError
from disentangle_bench.files import write_file

CHECKPOINT_FORMAT = 1


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a trial's state, to which the format is added."""
    buffer = io.BytesIO()  # torch's own writer hides why a disk refused
    torch.save({"format": CHECKPOINT_FORMAT, **state}, buffer)
    write_file(path, buffer.getvalue())


def load_checkpoint(path: Path, trial: str) -> dict[str, Any]:
    """A trial's checkpoint on the CPU, read without executing anything in it."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch reads a damaged weight without a word
            if archive.testzip() is not None:
                raise ValueError("checksum")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(
            f"checkpoint {path} is not there; delete the trial's record too and run the study again to train it."
        ) from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"checkpoint {path} is damaged or truncated ({type(error).__name__}); delete it and run again: "
            "the trial then starts from its first step."
        ) from error
    if not isinstance(state, dict) or state.get("format") != CHECKPOINT_FORMAT:
        raise UserError(f"checkpoint {path} is not of format {CHECKPOINT_FORMAT}; delete it and run again.")
    if state["trial"] != trial:
        raise UserError(f"checkpoint {path} belongs to trial {state['trial']}, not {trial}; delete it and run again.")
    return state
