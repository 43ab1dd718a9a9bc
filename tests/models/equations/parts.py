"""What the equations of all models share: networks in words, spectral norm, batch norm, optimisers. Float64, autograd.

Nothing here is the package's but the networks' initial values, which are copied.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

SIDE, COUNT, CLASSES = 16, 4, 3  # of the images
KINDS = nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d


@dataclass
class Layer:
    """One layer's values: weight, bias, spectral norm's vector (1, outputs), batch norm's running mean and variance."""

    w: Tensor
    b: Tensor | None
    u: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None


def layers_of(network: nn.Module) -> list[Layer]:
    """A network's layers that have values, in their order; the tensors themselves.

    A generator's learned input map is one, and so are the values of quantised latents.
    """
    found = []
    for layer in network.modules():
        for name in ("input_map", "values"):
            if isinstance(getattr(layer, name, None), nn.Parameter):
                found.append(Layer(getattr(layer, name), None))
        if not isinstance(layer, KINDS) or layer.weight is None:
            continue
        if hasattr(layer, "parametrizations"):
            norm = layer.parametrizations.weight
            found.append(Layer(norm.original, layer.bias, norm[0].u))
        else:
            running = getattr(layer, "running_mean", None), getattr(layer, "running_var", None)
            found.append(Layer(layer.weight, layer.bias, None, *running))
    return found


def copied(layers: list[Layer]) -> list[Layer]:
    """The same values in tensors of their own."""

    def copy(value: Tensor | None, learned: bool) -> Tensor | None:
        return None if value is None else value.detach().clone().requires_grad_(learned)

    return [Layer(*(copy(value, i < 2) for i, value in enumerate(vars(layer).values()))) for layer in layers]


def learned(*networks: list[Layer]) -> list[Tensor]:
    """The weights and biases of networks."""
    return [value for layers in networks for layer in layers for value in (layer.w, layer.b) if value is not None]


Networks = dict[str, list[Layer]]


@dataclass
class Mode:
    """How a network is run: its leaky ReLU's slopes below and at 0, and what batch norm does."""

    leak: float = 0.2
    at_zero: float = 0.2
    test: bool = False  # batch norm by its running averages
    still: bool = False  # batch norm by its batch, and its averages stay


def run(words: str, layers: list[Layer], x: Tensor, mode: Mode | None = None) -> Tensor:
    """A network in words. F: dense; C:s:p and T:s:p: convolution and transposed, stride and padding, or
    T:s:p:o with a row and a column more; B: batch norm; I: instance norm;
    R, L: ReLU and leaky ReLU; AxA: to maps of A×A; flat; tanh; sigmoid."""
    mode, values = mode or Mode(), iter(layers)
    for word in words.split():
        kind, *numbers = word.split(":")
        if kind == "F":
            layer = next(values)
            x = x @ weight(layer).T + layer.b
        elif kind in "CT":
            layer = next(values)
            convolve = nn.functional.conv2d if kind == "C" else nn.functional.conv_transpose2d
            x = convolve(x, weight(layer), layer.b, *map(int, numbers))
        elif kind == "B":
            x = batch_norm(next(values), x, mode)
        elif kind == "I":
            layer = next(values)
            x = layer.w[:, None, None] * normalised(x) + layer.b[:, None, None]
        elif kind == "R":
            x = x * (x > 0)
        elif kind == "L":
            x = x * torch.where(x > 0, 1.0, torch.where(x < 0, mode.leak, mode.at_zero))
        elif "x" in kind:
            x = x.reshape(len(x), -1, int(kind.split("x")[0]), int(kind.split("x")[0]))
        else:
            x = {"flat": x.flatten(1), "tanh": x.tanh(), "sigmoid": x.sigmoid()}[kind]
    assert next(values, None) is None, "all layers are used"
    return x


def batch_norm(layer: Layer, x: Tensor, mode: Mode) -> Tensor:
    """w·(x − mean)/√(variance + 1e-5) + b by channel; the running variance follows the unbiased one."""
    across = [d for d in range(x.ndim) if d != 1]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    mean, count = x.mean(dim=across), x.numel() / x.shape[1]
    variance = (x - mean.reshape(shape)).square().mean(dim=across)
    if mode.test:
        mean, variance = layer.mean, layer.variance
    elif not mode.still:
        layer.mean = 0.9 * layer.mean + 0.1 * mean.detach()
        layer.variance = 0.9 * layer.variance + 0.1 * variance.detach() * count / (count - 1)
    centred = (x - mean.reshape(shape)) / (variance.reshape(shape) + 1e-5).sqrt()
    return layer.w.reshape(shape) * centred + layer.b.reshape(shape)


def normalised(x: Tensor) -> Tensor:
    """(x − mean)/√(variance + 1e-6) of each channel of each image."""
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return centred / (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-6).sqrt()


def weight(layer: Layer) -> Tensor:
    """W, divided by σ = v W u'ᵀ where it has spectral norm."""
    if layer.u is None:
        return layer.w
    w = layer.w.reshape(len(layer.w), -1).T  # (inputs, outputs)
    v, u = power(layer)
    return layer.w / (v @ w @ u.T).reshape(())


def power(layer: Layer) -> tuple[Tensor, Tensor]:
    """v = n(u Wᵀ) and u' = n(v W)."""
    w = layer.w.reshape(len(layer.w), -1).T
    v = n(layer.u @ w.T)
    return v, n(v @ w)


def n(x: Tensor) -> Tensor:
    """x / (‖x‖ + 1e-12)."""
    return x / ((x**2).sum() ** 0.5 + 1e-12)


@dataclass
class Adam:
    """θ −= lr·m̂/(√v̂ + ε), or as TensorFlow has it, with ε beside √v."""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    tensorflow: bool = False
    t: int = 0
    m: dict[int, Tensor] = field(default_factory=dict)
    v: dict[int, Tensor] = field(default_factory=dict)

    def move(self, parameters: list[Tensor], gradients: Any) -> None:
        self.t += 1
        for i, (theta, g) in enumerate(zip(parameters, gradients, strict=True)):
            self.m[i] = self.beta1 * self.m.get(i, 0) + (1 - self.beta1) * g
            self.v[i] = self.beta2 * self.v.get(i, 0) + (1 - self.beta2) * g**2
            one, two = 1 - self.beta1**self.t, 1 - self.beta2**self.t
            if self.tensorflow:
                moved = self.lr * two**0.5 / one * self.m[i] / (self.v[i] ** 0.5 + 1e-8)
            else:
                moved = self.lr * (self.m[i] / one) / ((self.v[i] / two) ** 0.5 + 1e-8)
            theta.data -= moved


@dataclass
class RMSprop:
    """v = .99 v + .01 g², b = .9 b + g/(√v + 1e-8), θ −= lr·b; one step."""

    lr: float

    def move(self, parameters: list[Tensor], gradients: Any) -> None:
        for theta, g in zip(parameters, gradients, strict=True):
            theta.data -= self.lr * g / ((0.01 * g**2) ** 0.5 + 1e-8)


def bce(logits: Tensor, label: float) -> Tensor:
    """Cross-entropy of a logit's sigmoid with a label."""
    p = logits.sigmoid()
    return -(label * p.log() + (1 - label) * (1 - p).log()).mean()


def uniform(count: int, size: int, rng: torch.Generator) -> Tensor:
    return 2 * torch.rand(count, size, generator=rng) - 1


def move_all(losses: dict[str, Tensor], players: dict[str, list[Tensor]], optimisers: dict[str, Any]) -> None:
    """Each player against its own loss: all gradients first, then the moves."""
    gradients = {name: torch.autograd.grad(loss, players[name], retain_graph=True) for name, loss in losses.items()}
    for name, values in gradients.items():
        optimisers[name].move(players[name], values)
