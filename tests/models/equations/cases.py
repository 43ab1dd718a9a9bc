"""The cases in which models are compared with the equations, and both sides of them.

`python -m tests.models.equations.cases` writes what the equations give to steps.json, with which models are compared.
Rewrite it when a model is meant to train otherwise, give that model another version, and say in the change why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from disentangle_bench import registry
from disentangle_bench.models.base import Batch, Model
from disentangle_bench.training.step import StepState
from tests.models.equations.cgan import cgan
from tests.models.equations.ib_gan import ib_gan_framework
from tests.models.equations.infogan import dcgan, infogan_original
from tests.models.equations.infogan_cr import infogan_cr
from tests.models.equations.parts import CLASSES, COUNT, SIDE, Adam, Networks, copied, layers_of, learned
from tests.models.equations.vae import vae
from tests.models.equations.wasserstein import autoencoder, wasserstein

PATH = Path(__file__).with_name("steps.json")


@dataclass(frozen=True)
class Case:
    """A published configuration in narrow networks, and the steps that are taken, which need not begin with the first.

    count: images a step.
    """

    model: str
    configuration: str
    equations: Callable[..., dict[str, Tensor]]
    networks: tuple[str, ...]
    changes: dict[str, Any] = field(default_factory=dict)
    steps: tuple[int, ...] = (1,)
    count: int = COUNT


FRAMEWORK = ("embedding", "generator", "reconstructor", "discriminator")
NARROW = {"ngf": 1, "ndf": 1, "z_dim": 3, "r_dim": 2}
VAE = ("encoder", "decoder")
MODIFIED = ("generator", "shared", "discriminator", "recognition")
ORIGINAL = ("generator", "trunk", "discriminator", "recognition")
LITTLE = {"width": 2, "noise_dim": 3}
CGAN = {
    "z_units": 4, "label_units": 5, "joint_units": 6, "image_maxout": (3, 2), "label_maxout": (2, 2),
    "joint_maxout": (3, 2),
}  # fmt: skip
CRITIC = ("generator", "trunk", "critic")
STYLE = {"width": 2, "hidden": (6, 5), "latents": 3, "batch_size": 10, "clip": 0.01, "weight_decay": 0.1}
CASES = {
    "gan": Case("gan", "dsprites", ib_gan_framework, FRAMEWORK, NARROW, (50_000,)),
    "infogan": Case("infogan", "dsprites", ib_gan_framework, FRAMEWORK, NARROW, (50_000,)),
    "infogan at its cap": Case("infogan", "dsprites", ib_gan_framework, FRAMEWORK, NARROW | {"r_dim": 60}, (50_000,)),
    "ib-gan": Case("ib-gan", "dsprites", ib_gan_framework, FRAMEWORK, NARROW, (50_000,)),
    "ib-gan, architecture B": Case("ib-gan", "chairs3d", ib_gan_framework, (*FRAMEWORK, "front"), NARROW, (50_000,)),
    "vae": Case("vae", "dsprites", vae, VAE),
    "beta-vae": Case("beta-vae", "dsprites", vae, VAE),
    "annealed-vae": Case("annealed-vae", "dsprites", vae, VAE, {}, (30_000,)),
    "factor-vae": Case("factor-vae", "dsprites", vae, (*VAE, "discriminator"), {"d_width": 10}),
    "beta-tcvae": Case("beta-tcvae", "dsprites", vae, VAE),
    "beta-tcvae, chen-dsprites": Case("beta-tcvae", "chen-dsprites", vae, VAE),
    "beta-tcvae, stratified": Case("beta-tcvae", "dsprites", vae, VAE, {"stratified_over": 737_280}),
    "dip-vae-i": Case("dip-vae-i", "dsprites", vae, VAE),
    "dip-vae-ii": Case("dip-vae-ii", "dsprites", vae, VAE),
    "infogan-modified": Case("infogan-modified", "dsprites", infogan_cr, MODIFIED, LITTLE, (1, 2, 3)),
    "infogan-modified, celeba": Case(
        "infogan-modified", "celeba-infogan-cr", infogan_cr, MODIFIED, LITTLE | {"code_dim": 2}, (1, 2)
    ),
    "infogan-cr": Case(
        "infogan-cr", "dsprites", infogan_cr, (*MODIFIED, "contrast"), LITTLE | {"switch_step": 3}, (1, 2, 3, 4)
    ),
    "infogan-original": Case("infogan-original", "mnist", infogan_original, ORIGINAL, LITTLE),
    "c-infogan": Case("c-infogan", "mnist", infogan_original, (*ORIGINAL, "reader"), LITTLE),
    "cgan": Case("cgan", "mnist", cgan, ("generator", "discriminator", "encoder"), CGAN),
    "dcgan": Case(
        "dcgan", "pytorch-examples", dcgan, ("generator", "discriminator", "encoder"), {"width": 2, "z_dim": 3}
    ),
    "ae": Case("ae", "shapes3d", autoencoder, ("encoder", "decoder"), STYLE, (1, 2)),
    "qlae": Case("qlae", "shapes3d", autoencoder, ("encoder", "decoder", "quantiser"), STYLE, (1, 2)),
    "wgan-gp": Case("wgan-gp", "shapes3d", wasserstein, (*CRITIC, "encoder"), STYLE, (1, 2), 10),
    "qlinfowgan-gp": Case(
        "qlinfowgan-gp", "shapes3d", wasserstein, (*CRITIC, "recognition", "quantiser"), STYLE, (1, 2), 10
    ),
    "infowgan-gp": Case("infowgan-gp", "shapes3d", wasserstein, (*CRITIC, "recognition"), STYLE, (1, 2), 10),
}


@contextmanager
def float64() -> Iterator[None]:
    """New tensors are float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def built(case: Case) -> Model:
    """The case's model with values that are the same everywhere: sines, by their place."""
    cls = registry.get("model", case.model)
    config = cls.Config.model_validate(cls.configurations[case.configuration].model_dump() | case.changes)
    model = cls(config, (1, SIDE, SIDE), **({"classes": CLASSES} if cls.conditional else {}))
    fill(model)
    return model


def fill(network: nn.Module) -> None:
    """Weights of unit gain, biases 0, batch norm's weights about 1, and spectral norm's vectors."""
    with torch.no_grad():
        for place, layer in enumerate(layers_of(network)):
            sines = (torch.arange(layer.w.numel()) * 0.7 + place).sin().reshape(layer.w.shape)
            if layer.mean is not None:
                layer.w.copy_(1 + 0.1 * sines)
            else:
                layer.w.copy_(1.4 * sines / layer.w[0].numel() ** 0.5)
            if layer.b is not None:
                layer.b.zero_()
            if layer.u is not None:
                layer.u.copy_((torch.arange(layer.u.numel()) * 0.9 + place).cos()[None])


def images_of(model: Model, count: int) -> Tensor:
    """Black, and stripes beside it, (count, 1, SIDE, SIDE): convolutions without a bias give exactly 0 on black."""
    low, high = model.image_range
    stripes = (torch.arange(count * SIDE * SIDE) * 0.13).sin().reshape(count, 1, SIDE, SIDE) > 0.4
    stripes[..., : SIDE // 2] = False
    return torch.where(stripes, float(high), float(low))


def by_the_model(case: Case, model: Model) -> Iterator[dict[str, Tensor]]:
    """The model's losses in each step, as the trainer takes it, and its values as they are then."""
    players = model.players()
    optimisers = {name: player.optimiser(player.parameters) for name, player in players.items()}
    state = StepState(model, None, players, optimisers, case.count, torch.Generator().manual_seed(5))  # type: ignore[arg-type]
    batch = Batch(images_of(model, case.count), torch.arange(case.count) % CLASSES)
    for step in case.steps:
        for name in model.events().get(step, ()):
            model.reset(name)
            optimisers[name] = players[name].optimiser(players[name].parameters)
            restart(model, name)
        state.number.fill_(step)
        yield state.advance(batch)


def by_the_equations(case: Case, model: Model) -> Iterator[tuple[dict[str, Tensor], Networks]]:
    """The same from the equations, of the values that `model` begins with; it stays as it is."""
    nets = {name: copied(layers_of(getattr(model, name))) for name in case.networks}
    rng, c, images = torch.Generator().manual_seed(5), model.config, images_of(model, case.count)
    kept: dict[str, Any] = {}
    if case.equations is infogan_cr:
        rates = {"discriminator": c.d_lr, "generator": c.g_lr, "contrast": getattr(c, "h_lr", 0)}
        kept = {name: Adam(lr, 0.5, tensorflow=True) for name, lr in rates.items()}
    for step in case.steps:
        for name in model.events().get(step, ()):
            vectors = [layer.u for layer in nets[name]]
            restart(model, name)
            nets[name] = copied(layers_of(getattr(model, name)))
            for layer, u in zip(nets[name], vectors, strict=True):
                layer.u = u
            kept[name] = Adam(kept[name].lr, 0.5, tensorflow=True)
        yield case.equations(case.model, nets, c, images, rng, step, kept), nets


def restart(model: Model, name: str) -> None:
    """Values that are the same everywhere for a network that has started anew; its vectors stay."""
    network = getattr(model, name)
    vectors = [layer.u for layer in layers_of(network)]
    kept = [None if u is None else u.clone() for u in vectors]
    fill(network)
    for u, before in zip(vectors, kept, strict=True):
        if u is not None and before is not None:
            u.copy_(before)


def summary(losses: dict[str, Tensor], networks: Networks) -> dict[str, float]:
    """A step in a few numbers: the losses, and each network's weights and biases against a fixed wave."""
    numbers = {f"loss/{name}": loss.item() for name, loss in losses.items()}
    for name, layers in networks.items():
        values = torch.cat([value.detach().flatten() for value in learned(layers)])
        numbers[name] = (values * (torch.arange(len(values)) * 1.3).cos()).sum().item()
    return numbers


def expectations() -> dict[str, list[dict[str, float]]]:
    """Of each case, each step's summary by the equations."""
    with float64():
        return {name: [summary(*step) for step in by_the_equations(case, built(case))] for name, case in CASES.items()}


if __name__ == "__main__":
    PATH.write_text(json.dumps(expectations(), indent=1) + "\n")
