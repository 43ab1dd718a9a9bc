"""All that a training step changes, kept and put back, so that steps can be tried out before they count."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from disentangle_bench.training.step import StepState


class Snapshot:
    """A step's parameters, buffers, gradients, optimisers and generators as they are now."""

    def __init__(self, state: StepState) -> None:
        self.state = state
        self.tensors = [(tensor, tensor.detach().clone()) for tensor in kept_in_place(state)]
        self.gradients = [(parameter, parameter.grad) for parameter in state.model.parameters()]
        self.states = {
            name: {parameter: dict(slots) for parameter, slots in optimiser.state.items()}
            for name, optimiser in state.optimisers.items()
        }
        self.settings = {name: settings_of(optimiser) for name, optimiser in state.optimisers.items()}
        self.rng, self.global_rng = state.rng.get_state(), global_state(state.model.device)

    def changed_settings(self) -> list[str]:
        """The players whose optimisers have changed their own settings since, such as a learning rate."""
        now = {name: settings_of(optimiser) for name, optimiser in self.state.optimisers.items()}
        return [name for name in now if now[name] != self.settings[name]]

    @torch.no_grad()
    def restore(self, zero: bool = False) -> None:
        """Put everything back, each tensor where it was.

        zero: an optimiser's state that has been made since becomes zeros, and keeps its place; else it is dropped.
        """
        for name, optimiser in self.state.optimisers.items():
            if zero:
                for slots in optimiser.state.values():
                    for value in slots.values():
                        if isinstance(value, Tensor):
                            value.zero_()  # what was there before is put back below
            else:
                optimiser.state.clear()
                optimiser.state.update({parameter: dict(slots) for parameter, slots in self.states[name].items()})
            for group, settings in zip(optimiser.param_groups, self.settings[name], strict=True):
                group.update(settings)
        for tensor, value in self.tensors:
            tensor.copy_(value)
        for parameter, gradient in self.gradients:
            parameter.grad = gradient
        self.state.rng.set_state(self.rng)
        set_global_state(self.global_rng, self.state.model.device)


def kept_in_place(state: StepState) -> list[Tensor]:
    """The tensors that a step writes to: parameters, buffers, the optimisers' state, and the flag of divergence."""
    kept = [slots for optimiser in state.optimisers.values() for slots in optimiser.state.values()]
    values = [value for slots in kept for value in slots.values() if isinstance(value, Tensor)]
    return [*state.model.parameters(), *state.model.buffers(), *values, state.healthy]


def settings_of(optimiser: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """An optimiser's groups without their parameters."""
    return [{key: value for key, value in group.items() if key != "params"} for group in optimiser.param_groups]


def global_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    """The states of torch's global generators: the CPU's, and the device's where that is another."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def set_global_state(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    """Give torch's global generators these states."""
    cpu, cuda = state
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda, device)
