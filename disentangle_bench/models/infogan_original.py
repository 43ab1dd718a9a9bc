"""InfoGAN as Chen et al. published it: categorical and continuous codes, and a recognition network on D's layers."""

from __future__ import annotations

import itertools
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from disentangle_bench.models import infogan_networks as networks
from disentangle_bench.models.adversarial import (
    UNIFORM_ENTROPY,
    discriminator_loss,
    gaussian_information,
    generator_loss,
    information_curves,
    init_dcgan,
    one_hot,
    uniform,
    without_statistics,
)
from disentangle_bench.models.base import Batch, Between, Model, ModelConfig, Player, parameters_of
from disentangle_bench.models.infogan_config import SMALL, OriginalConfig
from disentangle_bench.models.infogan_networks import Guess, Latents


class InfoGANOriginal(Model):
    """Chen et al. 2016: min over G, Q and max over D of V(D, G) − λ_d·L_I,disc − λ_c·L_I,cont.

    L_D = −log D(x) − log(1 − D(x̂)) − λ_d·L_I,disc − λ_c·L_I,cont,   L_G = −log D(x̂) − λ_d·L_I,disc − λ_c·L_I,cont

    Q belongs to D's optimiser, as in the official code, so that D's step raises L_I through the layers that they share,
    and G's step moves G alone. Either step draws its own latents. As in that code, batch norm normalises reals and
    fakes apart; its running statistics are those of reals, on which Q is scored. `celeba` and `chairs3d` follow
    reimplementations where the paper's appendix could not be read; their numbers of steps are ours.
    """

    name = "infogan-original"
    paper = "Chen et al. 2016 (InfoGAN), NeurIPS"
    code_source = "recognition network"
    code_range = (-1.0, 1.0)  # of continuous codes
    search_space: ClassVar = {
        "lambda_categorical": Between(0.1, 10.0), "lambda_continuous": Between(0.1, 10.0),
        "d_lr": Between(1e-4, 2e-3), "g_lr": Between(1e-4, 5e-3),
    }  # fmt: skip
    Config: ClassVar[type[ModelConfig]] = OriginalConfig
    configurations: ClassVar = {
        "mnist": OriginalConfig(),
        "celeba": OriginalConfig(
            layout="celeba", noise_dim=128, categorical=(10,) * 10, continuous=0, leak=0.1, steps=100_000
        ),
        "chairs3d": OriginalConfig(
            layout="chairs3d", noise_dim=128, categorical=(20,) * 3, continuous=1, lambda_continuous=10.0, leak=0.1,
            steps=100_000,
        ),
        "small": OriginalConfig.model_validate(SMALL | {"categorical": (3,)}),
    }  # fmt: skip
    phases = ("discriminator_losses", "generator_losses")
    config: OriginalConfig
    still: Tensor  # (1, noise_dim), z of the images that codes stand for

    def __init__(self, config: OriginalConfig, image_shape: tuple[int, int, int], classes: int = 0) -> None:
        """classes: of labels that G and D are given; C-InfoGAN's."""
        super().__init__(config, image_shape)
        self.classes = classes
        self.config, layout = config, networks.LAYOUTS[config.layout]
        self.image_range = layout.image_range
        side, channels, c = layout.side(self.name, image_shape), image_shape[0], config
        latent = c.noise_dim + sum(c.categorical) + c.continuous + classes
        self.generator = networks.generator(layout, latent, channels, side, c.width)
        self.trunk, features = networks.trunk(layout, channels + classes, image_shape[1], c.width, c.leak)
        self.discriminator = nn.Linear(features, 1)
        self.recognition = networks.recognition(features, sum(c.categorical) + 2 * c.continuous, c.width, c.leak)
        init_dcgan(self, truncated=True)
        self.register_buffer("still", torch.rand(1, c.noise_dim) * 2 - 1)

    def players(self) -> dict[str, Player]:
        """D with Q, and G."""
        adam = partial(torch.optim.Adam, betas=(0.5, 0.999))
        d = parameters_of(self.trunk, self.discriminator, self.recognition)
        return {
            "discriminator": Player(d, partial(adam, lr=self.config.d_lr)),
            "generator": Player(parameters_of(self.generator), partial(adam, lr=self.config.g_lr)),
        }

    def draw(self, count: int, rng: torch.Generator) -> Latents:
        """z and c from their priors."""
        noise = uniform(count, self.config.noise_dim, rng, self.device)
        categories = [
            torch.randint(size, (count,), generator=rng, device=self.device) for size in self.config.categorical
        ]
        return Latents(noise, categories, uniform(count, self.config.continuous, rng, self.device))

    def imagine(self, latents: Latents, labels: Tensor | None) -> Tensor:
        """x̂ = G(z, c), (B, C, H, W)."""
        hot = [one_hot(c, size) for c, size in zip(latents.categories, self.config.categorical, strict=True)]
        return self.make(latents.noise, torch.cat([*hot, latents.continuous], dim=1), labels)

    def make(self, noise: Tensor, codes: Tensor, labels: Tensor | None) -> Tensor:
        """G of noise (B, noise_dim) and codes (B, ΣK + continuous)."""
        return self.generator(torch.cat([noise, codes], dim=1))

    def look(self, images: Tensor, labels: Tensor | None) -> tuple[Tensor, Guess]:
        """D's logits, (B, 1), and Q's guess."""
        features = self.trunk(images)
        return self.discriminator(features), self.split(self.recognition(features))

    def guess(self, images: Tensor) -> Guess:
        """Q's guess alone."""
        return self.split(self.recognition(self.trunk(images)))

    def split(self, outputs: Tensor) -> Guess:
        """Q's outputs (B, ΣK + 2·continuous) by what they are."""
        c = self.config
        *logits, mean, log_std = outputs.split([*c.categorical, c.continuous, c.continuous], dim=1)
        return Guess(logits, mean, torch.zeros_like(log_std) if c.fix_std else log_std)

    def information(self, guess: Guess, latents: Latents) -> Tensor:
        """λ_d·L_I,disc + λ_c·L_I,cont, each summed over its codes."""
        discrete = sum(guess.categorical(latents), torch.zeros((), device=self.device))
        return (
            self.config.lambda_categorical * discrete + self.config.lambda_continuous * guess.continuous(latents).sum()
        )

    def compare(
        self, reals: Tensor, fakes: Tensor, labels: Tensor | None, real: bool = True
    ) -> tuple[Tensor, Tensor, Guess]:
        """D's logits of reals and of fakes, (B, 1) each, and Q's guess of fakes; `real`: is the first needed?"""
        if self.config.batch_norm == "together":
            both = torch.cat([labels, labels]) if labels is not None else None
            logits, guess = self.look(torch.cat([reals, fakes]), both)
            real_logits, fake_logits = logits.chunk(2)
            return real_logits, fake_logits, guess.last(len(fakes))
        real_logits = self.look(reals, labels)[0] if real else torch.empty(0, device=self.device)
        with without_statistics(self):
            fake_logits, guess = self.look(fakes, labels)
        return real_logits, fake_logits, guess

    def discriminator_losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_D of D with Q."""
        latents = self.draw(len(batch.images), rng)
        with torch.no_grad():
            fakes = self.imagine(latents, batch.labels)
        real_logits, fake_logits, guess = self.compare(batch.images, fakes, batch.labels)
        return {"discriminator": discriminator_loss(real_logits, fake_logits) - self.information(guess, latents)}

    def generator_losses(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """L_G."""
        latents = self.draw(len(batch.images), rng)
        _, logits, guess = self.compare(batch.images, self.imagine(latents, batch.labels), batch.labels, real=False)
        return {"generator": generator_loss(logits) - self.information(guess, latents)}

    def encode(self, images: Tensor) -> Tensor:
        """Each categorical code's probabilities, or its likeliest value, and the continuous codes' means."""
        guess = self.guess(images)
        if self.config.encode_as == "argmax":
            discrete = [logits.argmax(dim=1, keepdim=True).to(torch.float32) for logits in guess.logits]
        else:
            discrete = [logits.softmax(dim=1) for logits in guess.logits]
        return torch.cat([*discrete, guess.mean], dim=1)

    def generate(self, codes: Tensor) -> Tensor:
        """G(z, c) with one z for all, drawn with the initial weights; of class 0 where there are classes."""
        return self.generate_class(codes, None)

    def generate_class(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """G(z, c, y) of labels (N,), likewise; values between those of a categorical code are rounded."""
        return self.make(self.still.expand(len(codes), -1), self.one_hots(codes), labels)

    def code_groups(self) -> list[list[int]] | None:
        """A categorical code's columns together, unless they are one value."""
        sizes = [1 if self.config.encode_as == "argmax" else size for size in self.config.categorical]
        ends = list(itertools.accumulate([*sizes, *[1] * self.config.continuous], initial=0))
        return [list(range(start, end)) for start, end in itertools.pairwise(ends)]

    def sample_images(self, codes: Tensor, rng: torch.Generator) -> Tensor:
        """G(z, c, y) with a z for each and, where there are classes, a y."""
        noise = uniform(len(codes), self.config.noise_dim, rng, self.device)
        labels = torch.randint(max(self.classes, 1), (len(codes),), generator=rng, device=self.device)
        return self.make(noise, self.one_hots(codes), labels)

    def one_hots(self, codes: Tensor) -> Tensor:
        """Codes as `encode` gives them, (N, D), as G takes them, (N, ΣK + continuous)."""
        if self.config.encode_as == "argmax":
            sizes = self.config.categorical
            values, continuous = codes.tensor_split([len(sizes)], dim=1)
            whole = values.round().long()
            hot = [one_hot(whole[:, i].clamp(0, size - 1), size) for i, size in enumerate(sizes)]
            return torch.cat([*hot, continuous], dim=1)
        return codes

    def sample_codes(self, count: int, rng: torch.Generator) -> Tensor:
        """c from its prior, categorical codes as one-hots or as values."""
        latents = self.draw(count, rng)
        if self.config.encode_as == "argmax":
            discrete = [values.unsqueeze(1).to(torch.float32) for values in latents.categories]
        else:
            discrete = [one_hot(c, size) for c, size in zip(latents.categories, self.config.categorical, strict=True)]
        return torch.cat([*discrete, latents.continuous], dim=1)

    def diagnostics(self, batch: Batch, rng: torch.Generator, step: Tensor) -> dict[str, Tensor]:
        """Lower bounds on I(c; x̂) for each code, in nats, on 1,000 samples, and L_I,cont as coded and with H(c) = ln 2.

        With σ = 1 the latter two can't exceed 1/6 and −0.23, so the bounds have the best σ instead. Labels, where the
        model is given them, are drawn uniformly.
        """
        latents = self.draw(1_000, rng)
        labels = torch.randint(max(self.classes, 1), (1_000,), generator=rng, device=self.device)
        logits, guess = self.look(self.imagine(latents, labels), labels)
        bounds = {f"categorical_{i}": bound for i, bound in enumerate(guess.categorical(latents))}
        gaussian = gaussian_information(UNIFORM_ENTROPY, latents.continuous, guess.mean)
        coded, true = guess.continuous(latents), UNIFORM_ENTROPY + guess.log_likelihood(latents)
        curves = information_curves(bounds | {f"continuous_{i}": bound for i, bound in enumerate(gaussian)})
        curves |= {f"coded_continuous_{i}": value for i, value in enumerate(coded)}
        curves |= {f"true_continuous_{i}": value for i, value in enumerate(true)}
        return curves | {"fake_logit": logits.mean()}
