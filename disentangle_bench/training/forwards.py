"""What a model's networks run in place of their own `forward` during a training step: bfloat16, or compiled code.

A network is a direct submodule of the model. Outside of steps (codes, samples, diagnostics) it runs as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

Forward = Callable[..., Any]


def step_forwards(model: nn.Module, device: torch.device, precision: str, compiled: bool) -> dict[nn.Module, Forward]:
    """The networks of `model` whose forward changes in a step, and what it becomes; empty: none."""
    networks = list(model.children()) if compiled or precision == "bf16" else []
    found: dict[nn.Module, Forward] = {network: network.forward for network in networks}
    if precision == "bf16":
        found = {network: lowered(forward, device) for network, forward in found.items()}
    if compiled:
        found = {network: torch.compile(forward, **compiler_settings()) for network, forward in found.items()}
    if precision == "bf16":
        found |= {
            module: in_float32(module.forward, device)
            for module in model.modules()
            if isinstance(module, ParametrizationList)  # spectral norm's power iteration is a statistic
        }
    return found


def compiler_settings() -> dict[str, Any]:
    """What torch.compile is told; the settings that it has no argument for are the process's."""
    import torch._dynamo  # seconds, which an eager trial needn't wait for
    import torch._functorch.config

    # Counted over all networks of one class, such as nn.Sequential, of all trials; beyond it, not eagerly in silence.
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 4096
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    torch._functorch.config.donated_buffer = False  # a graph is differentiated once for each player
    return {"dynamic": False, "options": {"fallback_random": True}}  # dropout draws the numbers that it draws eagerly


def lowered(forward: Forward, device: torch.device) -> Forward:
    """`forward` with its matrix products and convolutions in bfloat16; what it returns is float32, and so are losses.

    Batch norm keeps its statistics in float32 beside bfloat16 images, as torch does it.
    """

    def run(*arguments: Any, **named: Any) -> Any:
        # Without autocast's cache: a weight cast where no gradient was asked for would be used where one is.
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False):
            return float32(forward(*arguments, **named))

    return run


def in_float32(forward: Forward, device: torch.device) -> Forward:
    """`forward` as it is outside of autocast."""

    def run(*arguments: Any) -> Any:
        with torch.autocast(device.type, enabled=False):
            return forward(*arguments)

    return run


def float32(output: Any) -> Any:
    """A network's output with its bfloat16 tensors as float32."""
    if isinstance(output, tuple):
        return tuple(float32(part) for part in output)
    return output.float() if isinstance(output, Tensor) and output.dtype == torch.bfloat16 else output


@contextmanager
def replaced(forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Within the block these modules run these forwards."""
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward
