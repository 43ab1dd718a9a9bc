"""The autoencoders of latent quantisation: published counts and settings, loss terms, who is moved, the drawn codes."""

import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.models.base import Batch, Model, count_parameters
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.trainer import Intervals, Trainer, build_model

MODELS = ["ae", "qlae"]
SHAPE = (1, 16, 16)
STEP = torch.tensor(1)


def build(name: str, **changes) -> Model:
    cls = registry.get("model", name)
    config = cls.Config.model_validate(cls.configurations["small"].model_dump() | changes)
    return build_model(cls, config, SHAPE, 0, 0).train()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 8) -> Batch:
    return Batch(torch.rand(count, *SHAPE, generator=generator(1)))


@pytest.mark.parametrize("name", MODELS)
def test_published_parameter_counts_and_settings(name):
    cls = registry.get("model", name)
    c = cls.configurations["shapes3d"]
    with torch.device("meta"):
        model = cls(c, (3, 64, 64))
    assert count_parameters(model.encoder) == 3_681_440 + 3_084
    assert count_parameters(model.decoder) == 3_963_040 + 4_096
    assert (c.steps, c.batch_size, c.lr, c.clip) == (200_000, 128, 1e-3, 1)
    assert c.weight_decay == {"ae": 1e-3, "qlae": 0.1}[name]
    groups = model.players()["autoencoder"].optimiser(model.players()["autoencoder"].parameters).param_groups
    assert [(group["betas"], group["weight_decay"], group["clip"]) for group in groups] == [
        ((0.9, 0.999), c.weight_decay, 1.0), ((0.9, 0.999), 0.0, None),
    ]  # fmt: skip


def test_the_autoencoders_loss_by_hand():
    model, x = build("ae"), batch().images
    p = model.decoder(model.encoder(x)).sigmoid()
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum() / x.numel()
    assert model.losses(batch(), generator(), STEP)["autoencoder"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_qlaes_loss_by_hand():
    """BCE of the decoded values, and two terms that are equal in value: the distance from codes to values."""
    model, x = build("qlae", quantisation_weight=2.0, commitment_weight=3.0), batch().images
    z_hat = model.encoder(x)
    values = model.quantiser.values
    q = torch.stack([values[d, (z_hat[:, d, None] - values[d]).abs().argmin(dim=1)] for d in range(10)], dim=1)
    assert torch.equal(model.encode(x), q)
    p = model.decoder(q).sigmoid()
    bce = -(x * p.log() + (1 - x) * (1 - p).log()).sum() / x.numel()
    expected = bce + (2 + 3) * (z_hat - q).square().mean()
    assert model.losses(batch(), generator(), STEP)["autoencoder"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_qlaes_settings_by_dataset():
    known = registry.get("model", "qlae").configurations
    found = {name: (c.latents, c.weight_decay) for name, c in known.items() if name != "small"}
    assert found == {
        "shapes3d": (12, 0.1), "mpi3d-complex": (14, 0.001), "falcor3d": (14, 0.1), "isaac3d": (18, 0.1)
    }  # fmt: skip
    c = known["shapes3d"]
    assert (c.values, c.quantisation_weight, c.commitment_weight) == (10, 0.01, 0.01)


def test_the_decoders_error_does_not_move_the_values():
    """It passes the quantiser straight to the encoder; quantisation alone moves them."""
    model = build("qlae", quantisation_weight=0.0)
    loss = model.losses(batch(), generator(), STEP)["autoencoder"]
    parameters = [model.encoder[1].weight, model.quantiser.values]
    encoder, values = torch.autograd.grad(loss, parameters)
    assert encoder.any()
    assert not values.any()


@pytest.mark.parametrize("name", MODELS)
def test_the_one_player_moves_all_parameters(name):
    model = build(name)
    parameters = model.players()["autoencoder"].parameters
    assert sorted(map(id, parameters)) == sorted(map(id, model.parameters()))
    names = {id(parameter): where for where, parameter in model.named_parameters()}
    found = torch.autograd.grad(model.losses(batch(), generator(), STEP)["autoencoder"], parameters)
    assert [names[id(p)] for p, gradient in zip(parameters, found, strict=True) if not gradient.any()] == []


def test_codes_are_drawn_as_training_had_them():
    model = build("ae", latents=2)
    for _ in range(2_000):
        model.follow(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    drawn = model.sample_codes(4_000, generator())
    torch.testing.assert_close(drawn.mean(dim=0), torch.tensor([2.0, 5.0]), rtol=0, atol=0.05)
    torch.testing.assert_close(drawn.std(dim=0), torch.tensor([1.0, 0.0]), rtol=0, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_images_are_told_apart(name, seed, place):
    """On the 96 images of `tiny` the best without a code is 0.134 nats a pixel."""
    dataset = registry.get("dataset", "tiny")(place.data)
    cls = registry.get("model", name)
    config = cls.configurations["small"].model_copy(update={"steps": 500})
    model = build_model(cls, config, dataset.image_shape, seed)
    images = DeviceImages(dataset, torch.device("cpu"), model.image_range)
    trainer = Trainer(model, images, config, seed, "learning", place.results / "checkpoint.pt")
    trainer.train(Intervals(log=100, diagnose=100))
    assert trainer.history.curves[-1]["cross_entropy"] < 0.06
