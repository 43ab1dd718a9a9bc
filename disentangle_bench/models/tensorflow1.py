"""What TensorFlow 1 computes otherwise than torch, for models whose reference is code that was written in it.

Leaky ReLU and the probabilities' floor are autograd's own operations, the optimiser counts its steps in a tensor, and
spectral norm reads its vector in a forward pass without writing it: all of it runs eagerly, compiled and in a CUDA
graph. One thing stays torch's: the running variance of batch norm is the batch's unbiased one, as TensorFlow's fused
operation has it; where that was not fused, it was the biased one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

FLOOR = 1e-8  # added to a probability before its logarithm


class LeakyReLU(nn.Module):
    """max(x, slope·x), whose slope at exactly 0 is 1; torch's is `slope` there.

    Black pixels under zero biases do give 0. Computed as torch's of x + 1e-30, which changes no other x by a digit and
    costs a third of what a comparison would.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + 1e-30, self.slope)

    def extra_repr(self) -> str:
        return f"slope={self.slope}"


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """L_D = −E log(D(x) + 1e-8) − E log(1 − D(x̂) + 1e-8), where D is the sigmoid of its logit."""
    real, fake = real_logits.sigmoid(), fake_logits.sigmoid()
    return -(real + FLOOR).log().mean() - (1 - fake + FLOOR).log().mean()


def generator_loss(fake_logits: Tensor) -> Tensor:
    """L_G = −E log(D(x̂) + 1e-8), whose gradient vanishes where D is certain: at D(x̂) = 1e-8 it is half of log D's."""
    return -(fake_logits.sigmoid() + FLOOR).log().mean()


class SpectralNorm(nn.Module):
    """W / σ with σ = v W u'ᵀ, where v = n(u Wᵀ), u' = n(v W), n(x) = x / (‖x‖ + 1e-12) and W is (inputs, outputs).

    u is stored, drawn from N(0, 1) within two deviations and not normalised. Each forward pass takes one step of the
    power method from it, in training and evaluation alike, and is differentiated through v and u'; torch's stores its
    vectors in each training pass and takes them for constants. `iterate` stores u'.
    """

    u: Tensor  # (1, outputs)

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", nn.init.trunc_normal_(weight.new_empty(1, len(weight)), 0.0, 1.0, -2.0, 2.0))

    def forward(self, weight: Tensor) -> Tensor:
        """weight: as torch has it, outputs first."""
        v, u = self.vectors(weight)
        return weight / (v @ weight.flatten(1).T @ u.T).squeeze()

    def vectors(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """v (1, inputs) and u' (1, outputs)."""
        matrix = weight.flatten(1)  # (outputs, inputs)
        v = unit(self.u @ matrix)
        return v, unit(v @ matrix.T)


def unit(x: Tensor) -> Tensor:
    """x / (‖x‖ + 1e-12)."""
    return x / (x.square().sum().sqrt() + 1e-12)


def spectral_norm(layer: nn.Module) -> None:
    """Have a layer compute with its weight's `SpectralNorm`."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    parametrize.register_parametrization(layer, "weight", SpectralNorm(weight.detach()))


@torch.no_grad()
def iterate(module: nn.Module) -> None:
    """Store each layer's u', of the weights as they are now: once a training step, after its last update."""
    for layer in module.modules():
        if isinstance(layer, parametrize.ParametrizationList) and isinstance(layer[0], SpectralNorm):
            layer[0].u.copy_(layer[0].vectors(layer.original)[1])


class Adam(torch.optim.Optimizer):
    """θ −= lr·√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε): ε outside of the bias correction.

    torch adds ε to √(v/(1 − β₂ᵗ)), which in the first step makes it 32 times smaller beside √v. All of a group's
    parameters move in each step. t is a tensor on their device.
    """

    from_zero = True  # its state before the first step, which a captured step is put back to

    def __init__(
        self, parameters: Any, lr: float, betas: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move all parameters against their gradients."""
        for group in self.param_groups:
            parameters, (beta1, beta2) = group["params"], group["betas"]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter] = {"m": torch.zeros_like(parameter), "v": torch.zeros_like(parameter)}
            first = self.state[parameters[0]]
            if "t" not in first:
                first["t"] = parameters[0].new_zeros(())
            t = first["t"].add_(1)
            gradients = [parameter.grad for parameter in parameters]
            m, v = ([self.state[parameter][name] for parameter in parameters] for name in ("m", "v"))
            torch._foreach_lerp_(m, gradients, 1 - beta1)
            torch._foreach_mul_(v, beta2)
            torch._foreach_addcmul_(v, gradients, gradients, 1 - beta2)
            moves = torch._foreach_sqrt(v)
            torch._foreach_add_(moves, group["epsilon"])
            moves = torch._foreach_div(m, moves)
            torch._foreach_mul_(moves, group["lr"] * one_minus_power(beta2, t).sqrt() / one_minus_power(beta1, t))
            torch._foreach_sub_(parameters, moves)


def one_minus_power(beta: float, t: Tensor) -> Tensor:
    """1 − βᵗ, all of whose digits are right for a small t too."""
    return -torch.expm1(t * math.log(beta))


@contextmanager
def in_test_mode(network: nn.Module) -> Iterator[None]:
    """Batch norm normalises by its moving averages, and leaves them as they are."""
    before = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(before)


@contextmanager
def moving_averages_where(moved: Tensor, network: nn.Module) -> Iterator[None]:
    """Batch norm normalises by its batch, and its moving averages follow only where `moved`, bool () on the device.

    Within, they are copies: what is computed here can be differentiated after the network has run again outside.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    kept = [(layer, name, getattr(layer, name)) for layer in layers for name in ("running_mean", "running_var")]
    for layer, name, average in kept:
        setattr(layer, name, average.clone())
    try:
        yield
    finally:
        for layer, name, average in kept:
            average.copy_(torch.where(moved, getattr(layer, name), average))
            setattr(layer, name, average)
