"""How a trial's arithmetic is done: device, threads, precision, and the way that a step is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from disentangle_bench.errors import UserError
from disentangle_bench.settings import AUTO, Settings, validated


class Numerics(Settings):
    """How the arithmetic is done; other numerics, other last digits, so they are part of a trial's identity.

    precision: of training. tf32 rounds the factors of float32 products to 10 bits on the GPU's tensor cores, when
    images are encoded too. bf16 runs the networks under autocast; parameters, losses, statistics and codes stay
    float32. mode: how a step is computed; a captured one is a CUDA graph. See `engine`. deterministic: the same bytes
    each time on a GPU, too, where the fastest kernels differ in the last digits from run to run.
    """

    LATER = ("deterministic",)

    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(1, ge=1, description="CPU threads a trial")
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    mode: Literal["eager", "compiled", "captured", "captured-compiled"] = "eager"
    deterministic: bool = False

    def __str__(self) -> str:
        words = [self.device, str(self.threads), self.precision, self.mode]
        return " ".join([*words, "deterministic"] if self.deterministic else words)


def resolve_numerics(raw: Mapping[str, Any]) -> Numerics:
    """Numerics with `auto` settled: the device is cuda where there is one; the mode captured on it, eager on a CPU.

    A CPU's are always deterministic, so that saying so makes no other trial of one.

    `UserError` for what this machine's devices can't do.
    """
    import torch

    settled = dict(raw)
    available = torch.cuda.is_available()
    if settled.get("device", AUTO) == AUTO:
        settled["device"] = "cuda" if available else "cpu"
    if settled["device"] == "cuda" and not available:
        raise UserError("numerics.device is cuda, but torch sees no CUDA device here; set numerics.device=cpu.")
    if settled.get("mode", AUTO) == AUTO:
        settled["mode"] = "captured" if settled["device"] == "cuda" else "eager"
    numerics = validated(Numerics, settled, "numerics.")
    if numerics.device == "cpu" and numerics.mode.startswith("captured"):
        raise UserError(
            f"numerics.mode is {numerics.mode}, a CUDA graph, but the device is cpu; set numerics.mode=eager."
        )
    if numerics.device == "cpu" and numerics.precision == "tf32":
        raise UserError("numerics.precision is tf32, which only GPUs have; set numerics.precision=float32 or bf16.")
    return numerics.model_copy(update={"deterministic": numerics.deterministic and numerics.device == "cuda"})
