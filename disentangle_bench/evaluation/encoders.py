"""An encoder that someone brings, called in one way whatever it is, and tried before the long run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from disentangle_bench.blame import own_frames, place, said, written
from disentangle_bench.contracts import Dataset
from disentangle_bench.errors import PluginError, UserError

Pixels = Literal["uint8", "unit", "signed"]
"""What an encoder is given: uint8, 0 to 255; float32, 0 to 1; or float32, −1 to 1."""

REHEARSED = 8  # images
UNSTEADY = 0.01  # how far an image's codes may move with its batch, as a share of the largest code


class Encoder:
    """Codes, float (B, D), of images, uint8 (B, C, H, W), 0..255: what `metrics.score_encoder` takes.

    name: for tables and messages. call: images as `pixels` says to codes. file: the user's own, whose lines are named
    where it raises.
    """

    def __init__(self, name: str, call: Callable[[np.ndarray], Any], pixels: Pixels, file: Path | None = None) -> None:
        self.name, self.call, self.pixels, self.file = name, call, pixels, file

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The codes; `UserError` where the encoder raises, or gives something else."""
        given = scaled(images, self.pixels)
        try:
            codes = as_array(self.call(given))
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            raise raised(self.name, error, self.file, f"images {given.dtype} {given.shape}") from error
        wrong = not_codes(codes, len(images))
        if wrong:
            raise UserError(
                f"the encoder {self.name} must give codes (B, D), a row of numbers for each image: {wrong}."
            )
        return codes


def scaled(images: np.ndarray, pixels: Pixels) -> np.ndarray:
    """uint8 images (B, C, H, W) as an encoder is given them, in memory of their own."""
    if pixels == "uint8":
        return np.ascontiguousarray(images)
    unit = images.astype(np.float32) / np.float32(255)
    return unit if pixels == "unit" else unit * 2 - 1


def as_array(codes: Any) -> Any:
    """Codes as an array: of a tensor, its numbers; a tuple or a list stays what it is, for the message."""
    if hasattr(codes, "detach"):
        codes = codes.detach().float().cpu()
    return codes if isinstance(codes, tuple | list | dict) else np.asarray(codes)


def not_codes(codes: Any, count: int) -> str:
    """What is wrong with the codes of `count` images, in words; empty where nothing is."""
    if not isinstance(codes, np.ndarray):
        return f"it gives a {type(codes).__name__} of {len(codes)}, of which one must be chosen, such as the mean"
    if codes.ndim != 2 or len(codes) != count or not codes.shape[1]:
        return f"it gives {codes.shape} for {count} images"
    if codes.dtype.kind not in "biuf":
        return f"it gives {codes.dtype}"
    wrong = np.argwhere(~np.isfinite(codes))  # (count, 2)
    return f"it gives {codes[tuple(wrong[0])]} as code {wrong[0][1]} of an image" if len(wrong) else ""


def raised(name: str, error: BaseException, file: Path | None, what: str) -> PluginError:
    """The sentence for what an encoder raised, with the line of the user's own file where it came from one."""
    frames = own_frames(error, [file] if file else [])
    if not frames:
        words = said(error)
        if "TorchScript interpreter" in words:  # what it says last is the error, after where in it that happened
            words = str(error).strip().splitlines()[-1]
        return PluginError(f"the encoder {name} fails where it is given {what}: {words}")
    return PluginError(
        f"the encoder {name} raised {said(error)}, at {place(frames[-1])}; mend it there.{written(frames)}"
    )


def rehearse(encoder: Encoder, dataset: Dataset) -> None:
    """Encode a few images before all of them; `UserError` where that fails, or gives an image two codes.

    They are encoded together and one by one: a code must neither be drawn nor depend on the images beside it.
    """
    images = dataset.images(dataset.evaluation()[:REHEARSED])
    together = encoder(images)
    alone = [encoder(image[None]) for image in images]
    if any(each.shape[1] != together.shape[1] for each in alone):
        raise UserError(
            f"the encoder {encoder.name} gives another number of codes for one image than for {len(images)}."
        )
    moved = np.abs(np.concatenate(alone).astype(np.float64) - together).max()
    if moved > UNSTEADY * np.abs(together).max():
        raise UserError(
            f"the encoder {encoder.name} gives an image other codes alone than among {len(images)}: put its network "
            "into evaluation mode, and encode to a mean, drawing nothing."
        )
