"""Where encoders that people bring are loaded from: a Python function, or a program that torch or ONNX runs."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench import registry
from disentangle_bench.blame import said
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.code_files import ZIP, kind_of_zip
from disentangle_bench.evaluation.encoders import Encoder, Pixels

FORMS = "FILE.py:FUNCTION, a TorchScript file (.pt), one of torch.export (.pt2), or an .onnx file"


def load_encoder(text: str, pixels: Pixels | None = None, device: str | None = None) -> Encoder:
    """The encoder that a text names: FILE.py:NAME, MODULE:NAME, or the path of a program.

    pixels: what it is given. None: a Python function gets uint8, and a program float32, 0 to 1, unless it says itself
        that it takes uint8.
    device: in torch's words, where a program runs; None: a CPU. A function chooses for itself.
    """
    path = Path(text).expanduser()
    if path.suffix == ".onnx":
        return onnx_encoder(path, pixels, device or "cpu")
    if path.suffix in (".pt", ".pth", ".pt2"):
        return torch_encoder(path, pixels, device or "cpu")
    where, colon, name = text.rpartition(":")
    if not colon or not name.isidentifier():
        raise UserError(f"--encoder {text}: give {FORMS}.")
    return python_encoder(text, where, name, pixels, device)


def python_encoder(text: str, where: str, name: str, pixels: Pixels | None, device: str | None) -> Encoder:
    """A function, or a torch module, of a file or a module that can be imported."""
    file = Path(where).expanduser().resolve()
    if file.suffix == ".py":
        if not file.is_file():
            raise UserError(f"--encoder {text}: there is no file {where}.")
        sys.path.insert(0, str(file.parent))  # as Python does with a script, whose neighbours it can import
        module = registry.imported(f"--encoder {text}", file, lambda: registry.import_file(file))
    else:
        module = registry.imported(f"--encoder {text}", None, lambda: importlib.import_module(where))
        file = Path(module.__file__ or where)
    found = getattr(module, name, None)
    if found is None:
        raise UserError(f"--encoder {text}: {where} defines no '{name}'.")
    if isinstance(found, type) or not callable(found):
        kind = "a class" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise UserError(f"--encoder {text}: '{name}' is {kind}; give a function, or an instance that can be called.")
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(found, torch.nn.Module):
        place = usable(device or "cpu")
        return Encoder(text, on_torch(found.eval().to(place), place), pixels or "unit", file)
    if device is not None:
        raise UserError(f"--device {device}: a Python function chooses its device itself; leave --device out.")
    return Encoder(text, found, pixels or "uint8", file)


def torch_encoder(path: Path, pixels: Pixels | None, device: str) -> Encoder:
    """A program of TorchScript or of torch.export."""
    import torch
    from torch.export.passes import move_to_device_pass

    kind = kind_of_program(path)
    usable(device)
    own: Pixels = "unit"
    try:
        with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated, which its user knows by now
            if kind == "torchscript":
                module = torch.jit.load(path, map_location=device).eval()
            else:
                program = move_to_device_pass(torch.export.load(path), device)
                images, *_ = program.graph_signature.user_inputs
                [node] = [node for node in program.graph.nodes if node.name == images]
                own = "uint8" if node.meta["val"].dtype == torch.uint8 else "unit"
                module = program.module()
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise UserError(f"--encoder {path} can't be loaded ({said(error)}); write it anew.") from error
    return Encoder(str(path), on_torch(module, device), pixels or own)


def kind_of_program(path: Path) -> str:
    """`torchscript` or `exported`; `UserError` for a file that is no program."""
    if not path.is_file():
        raise UserError(f"--encoder {path}: there is no such file.")
    with path.open("rb") as file:
        start = file.read(len(ZIP))
    kind = kind_of_zip(path) if start == ZIP else "torch"
    if kind not in ("torchscript", "exported"):
        raise UserError(
            f"--encoder {path} holds weights or other data, and no program; write one with torch.export.save or "
            "torch.jit.save, or give FILE.py:FUNCTION that builds the network and loads them."
        )
    return kind


def onnx_encoder(path: Path, pixels: Pixels | None, device: str) -> Encoder:
    """An ONNX program, run by onnxruntime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"--encoder {path}: an ONNX file needs onnxruntime; pip install 'disentangle-bench[onnx]'."
        ) from error
    if not path.is_file():
        raise UserError(f"--encoder {path}: there is no such file.")
    kind, _, number = device.partition(":")
    provider = f"{kind.upper()}ExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UserError(
            f"--device {device}: this onnxruntime has no {provider}; choose cpu, or for cuda install another."
        )
    options = {"device_id": number} if number else {}
    try:
        session = onnxruntime.InferenceSession(str(path), providers=[(provider, options)])
    except Exception as error:  # it has classes of its own for each fault, which share nothing else
        raise UserError(f"--encoder {path} can't be loaded ({said(error)}); write it anew.") from error
    inputs, outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    if len(inputs) != 1 or (len(outputs) > 1 and "codes" not in outputs):
        names = ", ".join(each.name for each in inputs)
        raise UserError(
            f"--encoder {path} takes {names} and gives {', '.join(outputs)}; it must take images alone and give the "
            "codes alone, or under the name 'codes'."
        )
    if isinstance(inputs[0].shape[0], int):
        raise UserError(
            f"--encoder {path} takes batches of {inputs[0].shape[0]} images alone; export it with a first dimension "
            "that varies, as torch.onnx.export does with dynamic_shapes."
        )
    wanted = "codes" if "codes" in outputs else outputs[0]
    own: Pixels = "uint8" if inputs[0].type == "tensor(uint8)" else "unit"
    return Encoder(str(path), lambda images: session.run([wanted], {inputs[0].name: images})[0], pixels or own)


def usable(device: str) -> str:
    """The device; `UserError` where torch has no such."""
    import torch

    try:
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:  # the latter where torch is built without CUDA
        raise UserError(f"--device {device}: torch can't use it here ({said(error)}); choose another.") from error
    return device


def on_torch(module: Any, device: str) -> Callable[[np.ndarray], Any]:
    """A torch module as a function of arrays, without gradients, on a device."""
    import torch

    @torch.inference_mode()
    def call(images: np.ndarray) -> Any:
        return module(torch.from_numpy(images).to(device))

    return call
