"""A model's encoder and generator as programs of torch.export and of ONNX, which need none of the model's code.

TorchScript is deprecated in favour of torch.export, so there is none. Both take and give images as float32, 0 to 1,
whatever the model's own range is, so that gradients pass through them.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from disentangle_bench.blame import said
from disentangle_bench.errors import PluginError
from disentangle_bench.models.base import Model
from disentangle_bench.plugins import called, is_plugin

EXAMPLES = 3  # codes of the prior, kept in each program; of one alone torch.export would take the number for fixed
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # what the extra `onnx` installs
RTOL, ATOL = 1e-3, 1e-5  # of a program's numbers to the model's: other kernels round differently


class Encode(nn.Module):
    """Images (N, C, H, W), 0 to 1, to codes (N, D)."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        low, high = self.model.image_range
        return self.model.encode(images * (high - low) + low)


class Generate(nn.Module):
    """Codes (N, D) to images (N, C, H, W), 0 to 1; what lies outside is cut off."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, codes: Tensor) -> Tensor:
        return self.unit(self.model.generate(codes))

    def unit(self, images: Tensor) -> Tensor:
        """Images in the model's range as 0 to 1."""
        low, high = self.model.image_range
        return ((images - low) / (high - low)).clamp(0.0, 1.0)


class GenerateClass(Generate):
    """As `Generate`, of classes, int64 (N,): for a conditional model."""

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        return self.unit(self.model.generate_class(codes, labels))


def programs(model: Model, classes: int, seed: int) -> dict[str, ExportedProgram]:
    """`generator` and `encoder` of a model, for any number of images.

    Each program's `example_inputs` are `EXAMPLES` codes from the prior, with a label each where the model is
    conditional, and the images that are generated of them. `PluginError` where a plugin's model can't be exported.
    """
    model = copy.deepcopy(model).cpu().eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    rng = torch.Generator().manual_seed(seed)
    inputs: tuple[Tensor, ...] = (model.sample_codes(EXAMPLES, rng),)
    if model.conditional:
        inputs = (*inputs, torch.randint(classes, (EXAMPLES,), generator=rng))
    generate = GenerateClass(model) if model.conditional else Generate(model)
    with torch.no_grad():
        images = generate(*inputs)
    return {
        "generator": exported(generate, inputs, "generate_class" if model.conditional else "generate"),
        "encoder": exported(Encode(model), (images,), "encode"),
    }


def exported(module: Encode | Generate, inputs: tuple[Tensor, ...], method: str) -> ExportedProgram:
    """The program of one of a model's methods, with the weights that it needs and no others."""
    number = Dim("images")
    try:
        # Strictly: else `len(codes)` in a model's code would make the examples' number the only one that is taken.
        with silenced(), torch.no_grad():
            program = torch.export.export(module, inputs, dynamic_shapes=({0: number},) * len(inputs), strict=True)
    except Exception as error:
        cls = type(module.model)
        if not is_plugin(cls):
            raise
        raise PluginError(
            f"{called(cls, method)} can't be exported: torch.export says of `{method}` {said(error)}; write it in "
            "tensor operations alone, without Python's `if` on their values, .item() or numpy."
        ) from error
    signature = program.graph_signature
    used = {*signature.inputs_to_parameters.values(), *signature.inputs_to_buffers.values()}
    for name in set(program.state_dict) - used:  # such as the discriminator's
        del program.state_dict[name]
    return program


def torch_file(program: ExportedProgram) -> bytes:
    """A program as `torch.export.load` reads it; `RuntimeError` unless it then gives what the program gives."""
    buffer = io.BytesIO()
    with silenced():
        torch.export.save(program, buffer)
        buffer.seek(0)
        again = torch.export.load(buffer)
    compare("torch.export", again.module()(*program.example_inputs[0]), program)
    return buffer.getvalue()


class NoOnnx(Exception):
    """Why there is no ONNX file, in words."""


def onnx_file(program: ExportedProgram, inputs: Sequence[str], output: str) -> bytes:
    """A program in one ONNX file; `RuntimeError` unless onnxruntime then gives what the program gives.

    Raises `NoOnnx` where the extra `onnx` is not installed, and where ONNX lacks an operation that a model uses.
    """
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise NoOnnx(f"{', '.join(missing)} not installed; pip install 'disentangle-bench[onnx]'")
    import onnxruntime

    try:
        with silenced():
            made: Any = torch.onnx.export(
                program, dynamo=True, verbose=False, external_data=False, input_names=inputs, output_names=[output]
            )
    except torch.onnx.OnnxExporterError as error:
        raise NoOnnx(f"torch can't write the model as ONNX ({said(error)})") from error
    content: bytes = made.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    given = {name: value.numpy() for name, value in zip(inputs, program.example_inputs[0], strict=True)}
    compare("onnxruntime", torch.from_numpy(session.run([output], given)[0]), program)
    return content


def compare(runner: str, found: Tensor, program: ExportedProgram) -> None:
    """Raise `RuntimeError` unless what a program gave of its examples is what it gives as it was exported."""
    expected = program.module()(*program.example_inputs[0])
    if not torch.allclose(found, expected, RTOL, ATOL):
        off = (found - expected).abs().max().item()
        raise RuntimeError(f"a program that was read again by {runner} gives other numbers, by up to {off:g}")


@contextmanager
def silenced() -> Iterator[None]:
    """Without the warnings of torch's exporters, which are about themselves."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(level)
