"""The scripts that show how an exported model is used; they import nothing of this package."""

from __future__ import annotations

from torch.export import ExportedProgram


def torch_script(generator: ExportedProgram) -> str:
    """A script that loads encoder and generator with torch alone, generates, and encodes what it generated.

    The codes are those that lie in the generator's file as its example, drawn from the model's prior.
    """
    names = ", ".join(INPUTS[: len(generator.example_inputs[0])])
    return f'''"""Generates images of codes and encodes them again; needs torch, and nothing else."""

from pathlib import Path

import torch

here = Path(__file__).parent
encoder = torch.export.load(here / "encoder.pt2").module()
generator = torch.export.load(here / "generator.pt2")
({names}{"" if "," in names else ","}), _ = generator.example_inputs  # drawn from the model's prior

with torch.no_grad():
    images = generator.module()({names})  # float32 (N, C, H, W), 0 to 1
    print("codes", codes, "encoded again", encoder(images), sep="\\n")
'''


def onnx_script(generator: ExportedProgram) -> str:
    """The same with onnxruntime and numpy, of codes that are all zero and, where there are labels, of class 0."""
    codes = generator.example_inputs[0][0]
    given = [f'"codes": np.zeros((3, {codes.shape[1]}), np.float32)', '"labels": np.zeros(3, np.int64)']
    inputs = ", ".join(given[: len(generator.example_inputs[0])])
    return f"""import numpy as np
import onnxruntime

encoder, generator = (onnxruntime.InferenceSession(f"{{name}}.onnx") for name in ("encoder", "generator"))
(images,) = generator.run(None, {{{inputs}}})
(codes,) = encoder.run(None, {{"images": images}})
print(images.shape, codes)
"""


INPUTS = ("codes", "labels")  # of a generator; the latter where the model is conditional
