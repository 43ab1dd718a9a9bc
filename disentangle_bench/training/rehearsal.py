"""A model tried before it is trained, so that what can't work is said in seconds and not after the last step."""

from __future__ import annotations

import torch

from disentangle_bench.models.base import Model, ModelConfig
from disentangle_bench.models.declared import refuse, refuse_codes, refuse_players, short
from disentangle_bench.plugins import guarded, is_plugin
from disentangle_bench.training.trainer import build_model

IMAGES = 2


def rehearse(
    cls: type[Model], config: ModelConfig, image_shape: tuple[int, int, int], classes: int, device: str
) -> None:
    """Build the model once; a plugin's also names its players, and where it trains on a CPU encodes and generates.

    Raises `PluginError` for a fault of the plugin. What is drawn here moves no trial's numbers.
    """
    model = build_model(cls, config, image_shape, 0, classes)
    if not is_plugin(cls):
        return
    with torch.random.fork_rng(devices=[]):
        players = guarded(cls, "`players`", model.players)
        refuse_players(cls, players)
        for name, player in players.items():
            guarded(cls, f"the optimiser of '{name}'", player.optimiser, player.parameters)
        if device == "cpu":
            codes_and_images(cls, model, image_shape)


@torch.inference_mode()
def codes_and_images(cls: type[Model], model: Model, image_shape: tuple[int, int, int]) -> None:
    """Ask for the codes of two images of noise, and for two images, as is done after the last step."""
    model.eval()
    low, high = model.image_range
    rng = torch.Generator().manual_seed(0)
    noise = low + (high - low) * torch.rand(IMAGES, *image_shape, generator=rng)
    refuse_codes(cls, guarded(cls, "`encode`", model.encode, noise), IMAGES)
    codes = guarded(cls, "`sample_codes`", model.sample_codes, IMAGES, rng)
    images = guarded(cls, "`generate`", model.generate, codes)
    right = isinstance(images, torch.Tensor) and images.shape == noise.shape
    shape = ", ".join(map(str, image_shape))
    refuse(cls, right, f"`generate` must give images (N, {shape}), not {short(images)}", "generate")
