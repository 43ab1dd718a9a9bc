"""CGAN: a GAN of dense layers whose generator and discriminator are given class labels, and an encoder beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from disentangle_bench.models.adversarial import (
    discriminator_loss,
    gaussian_information,
    generator_loss,
    information_curves,
    one_hot,
    squared_error,
)
from disentangle_bench.models.base import Batch, Between, Model, ModelConfig, Player, parameters_of
from disentangle_bench.models.cgan_networks import Discriminator, Generator, ScheduledSGD


class CGANConfig(ModelConfig):
    """Settings; the defaults are the paper's for MNIST as far as they are known."""

    steps: int = Field(300_000, ge=0, description="updates of each player")
    batch_size: int = Field(100, gt=1, description="images a step")
    z_dim: int = Field(100, gt=0, description="dimensions of z ~ U(0, 1), which are the code's")
    z_units: int = Field(200, gt=0, description="G's units for z")
    label_units: int = Field(1000, gt=0, description="G's units for y")
    joint_units: int = Field(1200, gt=0, description="G's units for both; the encoder's in each of its two layers")
    image_maxout: tuple[int, int] = Field((240, 5), description="D's units for x, and pieces of each")
    label_maxout: tuple[int, int] = Field((50, 5), description="D's units for y, and pieces of each")
    joint_maxout: tuple[int, int] = Field((240, 4), description="D's units for both, and pieces of each")
    batch_norm: bool = Field(False, description="G: batch norm before each ReLU")
    instance_noise: float = Field(0.0, ge=0, description="σ of the noise on all images that D sees")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of G's and D's hidden units dropped in training")
    init: Literal["uniform", "torch"] = Field(
        "uniform", description="U(−.05, .05) in G, U(−.005, .005) in D; or torch's"
    )
    optimiser: Literal["sgd", "adam"] = Field("sgd", description="SGD with the paper's schedule, or Adam(.5, .999)")
    d_lr: float = Field(0.1, gt=0, description="learning rate of D, at first")
    g_lr: float = Field(0.1, gt=0, description="learning rate of G, at first")
    encoder_lr: float = Field(1e-3, gt=0, description="learning rate of the encoder, which has Adam in any case")
    lr_decay: float = Field(1.00004, ge=1, description="SGD: divides the rate after each update")
    lr_floor: float = Field(1e-6, gt=0, description="SGD: the rate falls no further")
    momentum_start: float = Field(0.5, ge=0, lt=1, description="SGD: momentum at first")
    momentum_end: float = Field(0.7, ge=0, lt=1, description="SGD: momentum from `momentum_steps` on")
    momentum_steps: int = Field(150_000, gt=0, description="SGD: updates in which momentum rises linearly")


@dataclass(frozen=True)
class Samples:
    """What the phases of one step share."""

    reals: Tensor  # (B, C, H, W)
    z: Tensor  # (B, z_dim)
    labels: Tensor  # (B, classes), one-hot, of reals and fakes alike
    fakes: Tensor  # (B, C, H, W), G(z, y) with its graph: D moves before G does, and G's weights are still those


class CGAN(Model):
    """Mirza & Osindero 2014: L_D = −log D(x, y) − log(1 − D(G(z, y), y)), then L_G = −log D(G(z, y), y).

    Fakes have their batch's labels. The paper describes the layers; that its joint layer of 1,200 is dense, the dropout
    and the schedule (rate, momentum, batch) are as we remember them, unverified, and the number of steps and the time
    in which momentum rises are ours. Initial weights are those of the code of Goodfellow et al. 2014, which the paper
    builds on. G's loss is the non-saturating one. On scikit-learn's digits this configuration diverges in 200 steps,
    as D knows its 1,797 images by then; on MNIST it has not been tried.

    A GAN has no encoder. A dense one, which is ours and sees no labels, is trained on detached fakes to reconstruct z,
    by ½‖z − ẑ‖², by Adam, as the paper's SGD makes it diverge at once; its gradient never reaches G or D. Codes stand
    for images of class 0; `generate_class` takes others.
    `small` is ours, with Adam, batch norm in G, without which G made one image of all z and y, and a little noise on
    what D sees, lest sharp edges alone tell reals from fakes; chosen in a dozen runs on seed 0.
    """

    name = "cgan"
    paper = "Mirza & Osindero 2014 (CGAN)"
    code_source = "post-hoc encoder, labels given"
    search_space: ClassVar = {"d_lr": Between(1e-5, 1e-3), "g_lr": Between(1e-4, 1e-2)}
    image_range = (0.0, 1.0)
    code_range = (0.0, 1.0)
    conditional = True
    Config = CGANConfig
    configurations: ClassVar = {
        "mnist": CGANConfig(),
        "small": CGANConfig(
            steps=2_000, batch_size=64, z_dim=10, z_units=128, label_units=128, joint_units=256, image_maxout=(64, 3),
            label_maxout=(16, 3), joint_maxout=(64, 3), batch_norm=True, instance_noise=0.1, dropout=0.0,
            init="torch", optimiser="adam", d_lr=5e-4, g_lr=1e-3,
        ),
    }  # fmt: skip
    phases = ("discriminator_losses", "generator_losses")

    def __init__(self, config: CGANConfig, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, image_shape)
        self.config, self.classes = config, classes
        c, units = config, (config.z_units, config.label_units, config.joint_units)
        maxouts = (c.image_maxout, c.label_maxout, c.joint_maxout)
        self.generator = Generator(c.z_dim, classes, image_shape, units, c.dropout, c.batch_norm)
        self.discriminator = Discriminator(classes, image_shape, maxouts, c.dropout)
        if c.init == "uniform":
            for network, bound in ((self.generator, 0.05), (self.discriminator, 0.005)):
                for name, parameter in network.named_parameters():
                    nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.uniform_(parameter, -bound, bound)
        self.encoder = nn.Sequential(
            *(nn.Flatten(), nn.Linear(math.prod(image_shape), c.joint_units), nn.ReLU()),
            *(nn.Linear(c.joint_units, c.joint_units), nn.ReLU(), nn.Linear(c.joint_units, c.z_dim)),
        )

    def players(self) -> dict[str, Player]:
        """D, G, and the encoder on its own."""
        c = self.config
        adam = partial(torch.optim.Adam, betas=(0.5, 0.999))
        optimiser: Callable[..., torch.optim.Optimizer] = adam
        if c.optimiser == "sgd":
            momentum = (c.momentum_start, c.momentum_end)
            optimiser = partial(
                ScheduledSGD, decay=c.lr_decay, floor=c.lr_floor, momentum=momentum, momentum_steps=c.momentum_steps
            )
        return {
            "discriminator": Player(parameters_of(self.discriminator), partial(optimiser, lr=c.d_lr)),
            "generator": Player(parameters_of(self.generator), partial(optimiser, lr=c.g_lr)),
            "encoder": Player(parameters_of(self.encoder), partial(adam, lr=c.encoder_lr)),
        }

    def begin(self, batch: Batch, rng: torch.Generator, step: Tensor) -> Samples:
        """z, y and x̂ = G(z, y), for both phases."""
        z = self.sample_codes(len(batch.images), rng)
        if batch.labels is None:
            raise ValueError("a conditional model needs labels")
        y = one_hot(batch.labels, self.classes)
        return Samples(batch.images, z, y, self.generator(z, y, rng))

    def judge(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """D's logits, (B, 1), of images under instance noise."""
        if self.config.instance_noise:
            noise = torch.randn(images.shape, generator=rng, device=images.device)
            images = images + self.config.instance_noise * noise
        return self.discriminator(images, labels, rng)

    def discriminator_losses(self, samples: Samples, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_D."""
        real_logits = self.judge(samples.reals, samples.labels, rng)
        fake_logits = self.judge(samples.fakes.detach(), samples.labels, rng)
        return {"discriminator": discriminator_loss(real_logits, fake_logits)}

    def generator_losses(self, samples: Samples, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G before the D that has just moved, and ½‖z − ẑ‖² for the encoder."""
        logits = self.judge(samples.fakes, samples.labels, rng)
        reconstruction = squared_error(samples.z, self.encoder(samples.fakes.detach()))
        return {"generator": generator_loss(logits), "encoder": reconstruction}

    def encode(self, images: Tensor) -> Tensor:
        """ẑ, (N, z_dim)."""
        return self.encoder(images)

    def generate(self, codes: Tensor) -> Tensor:
        """G(z, y) of class 0."""
        return self.generate_class(codes, torch.zeros(len(codes), dtype=torch.int64, device=codes.device))

    def generate_class(self, codes: Tensor, labels: Tensor) -> Tensor:
        """G(z, y) of labels (N,)."""
        return self.generator(codes, one_hot(labels, self.classes), None)

    def sample_images(self, codes: Tensor, rng: torch.Generator) -> Tensor:
        """G(z, y) with a y for each."""
        labels = torch.randint(self.classes, (len(codes),), generator=rng, device=self.device)
        return self.generate_class(codes, labels)

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """z ~ U(0, 1)."""
        return torch.rand(count, self.config.z_dim, generator=rng, device=self.device)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """A lower bound on I(z_d; x̂) for each d, in nats, on 1,000 samples with uniform labels."""
        z = self.sample_codes(1_000, rng)
        labels = torch.randint(self.classes, (1_000,), generator=rng, device=self.device)
        bounds = gaussian_information(0.0, z, self.encoder(self.generate_class(z, labels)))  # H(U(0, 1)) = 0
        return information_curves({str(d): bound for d, bound in enumerate(bounds)})
