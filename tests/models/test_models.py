"""The models of IB-GAN's framework against the published counts, formulas and the limits that tie them together."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Batch, count_parameters
from disentangle_bench.models.ib_gan import IBGAN, IBGANConfig
from disentangle_bench.models.infogan import InfoGAN, InfoGANConfig
from disentangle_bench.training.trainer import build_model

FRAMEWORK = ["gan", "infogan", "ib-gan"]


def build(name: str, configuration: str = "small", shape=(1, 32, 32), seed: int = 0, **changes):
    cls = registry.get("model", name)
    config = cls.configurations[configuration].model_copy(update=changes)
    return build_model(cls, config, shape, seed)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 8, side: int = 32) -> Batch:
    return Batch(torch.rand(count, 1, side, side, generator=generator(1)) * 2 - 1)


@pytest.mark.parametrize("name", FRAMEWORK)
def test_published_parameter_counts(name):
    model = build(name, "dsprites", (1, 64, 64))
    counts = {
        "embedding": count_parameters(model.embedding),
        "fe": count_parameters(model.generator.dense),
        "conv": count_parameters(model.generator.convolutions),
        "q": count_parameters(model.reconstructor),
        "D": count_parameters(model.discriminator),
    }
    assert counts == {"embedding": 2_260, "fe": 1_064_192, "conv": 115_297, "q": 2_283_488, "D": 2_213_329}
    assert counts["embedding"] + counts["fe"] + counts["conv"] == 1_181_749
    assert counts["q"] + counts["D"] == 4_496_817


def test_published_parameter_counts_for_three_channels():
    model = build("ib-gan", "dsprites", (3, 64, 64))
    assert count_parameters(model.embedding) + count_parameters(model.generator) == 1_182_263
    assert count_parameters(model.reconstructor) + count_parameters(model.discriminator) == 4_497_841


def test_published_settings():
    config = IBGANConfig()
    assert (config.beta, config.alpha, config.gamma) == (0.141, 1, 1)
    assert (config.d_lr, config.g_lr, config.steps, config.batch_size) == (1e-6, 5e-5, 150_000, 64)
    assert InfoGANConfig().kl_cap == 20
    model = build("ib-gan", "dsprites", (1, 64, 64))
    for name, rate in (("discriminator", 1e-6), ("generator", 5e-5)):
        player = model.players()[name]
        optimiser = player.optimiser(player.parameters)
        assert isinstance(optimiser, torch.optim.RMSprop)
        settings = optimiser.param_groups[0]
        assert (settings["lr"], settings["momentum"], settings["alpha"], settings["eps"]) == (rate, 0.9, 0.99, 1e-8)


@pytest.mark.parametrize(
    ("step", "sigma"), [(1, 1.0), (50_001, 1 - 50_000 / 99_999), (100_000, 0.0), (150_000, 0.0)]
)  # fmt: skip
def test_noise_schedule(step, sigma):
    model = build("ib-gan", "dsprites", (1, 64, 64))
    assert model.noise(torch.tensor(step)).item() == pytest.approx(sigma, abs=1e-6)


def test_without_noise_images_pass_unchanged():
    model = build("ib-gan", noise_start=0.0)
    images = batch().images
    assert torch.equal(model.corrupt(images, generator(), torch.tensor(1)), images)


def test_noisy_images_are_clamped_to_the_image_range():
    model = build("ib-gan", noise_start=1.0)
    noisy = model.corrupt(batch().images, generator(), torch.tensor(1))
    assert noisy.min() == -1
    assert noisy.max() == 1


@pytest.mark.parametrize("name", FRAMEWORK)
def test_initial_weights_are_normal_with_standard_deviation_002(name):
    model = build(name, "dsprites", (1, 64, 64))
    weight = model.generator.dense[3].weight
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not model.generator.dense[3].bias.any()
    assert (model.generator.dense[1].weight == 1).all()


@pytest.mark.parametrize("name", FRAMEWORK)
def test_images_and_codes_have_their_shapes(name):
    model = build(name, "dsprites", (1, 64, 64)).eval()
    codes = model.sample_codes(3, generator())
    images = model.generate(codes)
    assert codes.shape == (3, 10)
    assert images.shape == (3, 1, 64, 64)
    assert images.abs().max() <= 1
    assert model.encode(images).shape == (3, 10)
    assert torch.equal(model.encode(images), model.encode(images))


def test_a_code_is_the_embeddings_mean_of_the_reconstructed_z():
    model = build("ib-gan").eval()
    images = batch().images
    mean, _ = model.embedding(model.reconstructor(images))
    assert torch.equal(model.encode(images), mean)


def test_the_loss_terms_against_torch_distributions():
    model = build("ib-gan")
    round = model.play(batch().images, generator(), torch.tensor(1))
    prior = Normal(0.0, 1.0)
    posterior = Normal(round.mean, (0.5 * round.log_variance).exp())
    upper = kl_divergence(posterior, prior).sum(dim=1).mean()
    # I^L = E log q(z|x) + H(z), each density with unit variance
    lower = (Normal(round.z_hat, 1.0).log_prob(round.z) - prior.log_prob(round.z)).sum(dim=1).mean()
    torch.testing.assert_close(round.information_upper, upper)
    torch.testing.assert_close(round.information_lower, lower)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    fake, real = round.fake_logits, round.real_logits
    torch.testing.assert_close(
        round.discriminator_loss, bce(fake, torch.zeros_like(fake)) + bce(real, torch.ones_like(real))
    )
    torch.testing.assert_close(round.generator_loss, bce(fake, torch.ones_like(fake)))


def test_ib_gans_loss_by_hand():
    model = build("ib-gan", alpha=2.0, beta=3.0, gamma=5.0)
    losses = model.losses(batch(), generator(), torch.tensor(1))
    round = build("ib-gan").play(batch().images, generator(), torch.tensor(1))
    expected = 5 * round.generator_loss - 2 * round.information_lower + 3 * round.information_upper
    torch.testing.assert_close(losses["generator"], expected)


def test_ib_gan_without_bottleneck_is_infogan_without_cap():
    ours = build_model(IBGAN, IBGAN.configurations["small"].model_copy(update={"beta": 0.0}), (1, 32, 32), 0)
    theirs = build_model(InfoGAN, InfoGAN.configurations["small"].model_copy(update={"kl_cap": None}), (1, 32, 32), 0)
    a = ours.losses(batch(), generator(), torch.tensor(1))
    b = theirs.losses(batch(), generator(), torch.tensor(1))
    assert {name: loss.item() for name, loss in a.items()} == {name: loss.item() for name, loss in b.items()}


def test_without_information_terms_the_generators_loss_is_gans():
    ours = build("ib-gan", alpha=0.0, beta=0.0).losses(batch(), generator(), torch.tensor(1))
    gan = build("gan").losses(batch(), generator(), torch.tensor(1))
    assert ours["generator"].item() == gan["generator"].item()
    assert ours["discriminator"].item() == gan["discriminator"].item()


def test_the_kl_cap_penalises_a_step_at_or_above_it():
    model = build("infogan", kl_cap=20.0)
    low, high = torch.tensor(19.9), torch.tensor(20.0)
    assert model.information_loss(torch.tensor(3.0), low).item() == -3.0
    assert model.information_loss(torch.tensor(3.0), high).item() == pytest.approx(-3 + 100 * 20)


@pytest.mark.parametrize("name", FRAMEWORK)
def test_every_parameter_belongs_to_exactly_one_player(name):
    model = build(name)
    owned = [id(p) for player in model.players().values() for p in player.parameters]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("name", FRAMEWORK)
def test_every_player_moves_all_of_its_parameters(name):
    model = build(name)
    losses = model.losses(batch(), generator(), torch.tensor(1))
    for player_name, player in model.players().items():
        for gradient in torch.autograd.grad(losses[player_name], player.parameters, retain_graph=True):
            assert gradient.abs().sum() > 0


def test_gans_encoder_never_influences_the_generator():
    model = build("gan")
    losses = model.losses(batch(), generator(), torch.tensor(1))
    players = model.players()
    others = [*players["generator"].parameters, *players["discriminator"].parameters]
    assert all(
        g is None for g in torch.autograd.grad(losses["reconstructor"], others, allow_unused=True, retain_graph=True)
    )
    encoder = players["reconstructor"].parameters
    assert all(g is None for g in torch.autograd.grad(losses["generator"], encoder, allow_unused=True))


@pytest.mark.parametrize("name", FRAMEWORK)
def test_batch_norm_sees_fakes_then_reals_once_each(name):
    model = build(name)
    seen = []
    for part in ("discriminator", "reconstructor"):
        network = getattr(model, part)
        network.register_forward_hook(lambda m, inputs, out, part=part: seen.append((part, inputs[0].detach().clone())))
    reals = batch().images
    model.losses(Batch(reals), generator(), torch.tensor(10**9))  # past the noise
    assert [part for part, _ in seen] == ["discriminator", "reconstructor"] * 2
    assert torch.equal(seen[0][1], seen[1][1])
    assert torch.equal(seen[2][1], reals)
    assert torch.equal(seen[3][1], reals)
    counters = {
        m.num_batches_tracked.item() for m in model.reconstructor.modules() if hasattr(m, "num_batches_tracked")
    }
    assert counters == {2}


@pytest.mark.parametrize("name", FRAMEWORK)
def test_draws_come_from_the_passed_generator_alone(name):
    model, state = build(name), torch.get_rng_state()
    first = model.losses(batch(), generator(3), torch.tensor(1))
    model.eval()
    model.diagnostics(batch(), generator(3), torch.tensor(1))
    assert torch.equal(torch.get_rng_state(), state)
    second = build(name).losses(batch(), generator(3), torch.tensor(1))
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}


def test_diagnostics_add_up():
    model = build("ib-gan").eval()
    curves = model.diagnostics(batch(), generator(), torch.tensor(1))
    kl = [curves[f"kl_{d}"] for d in range(10)]
    torch.testing.assert_close(torch.stack(kl).sum(), curves["information_upper"])
    torch.testing.assert_close(curves["entropy_z"] - curves["distortion_z"], curves["information_lower"])
    assert curves["entropy_z"].item() == pytest.approx(16 * 0.5 * (1 + math.log(2 * math.pi)), rel=0.02)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    same, other = build("ib-gan", seed=0), build("ib-gan", seed=1)
    reference = build("ib-gan", seed=0)
    assert all(torch.equal(a, b) for a, b in zip(reference.parameters(), same.parameters(), strict=True))
    assert not torch.equal(reference.embedding.layers[0].weight, other.embedding.layers[0].weight)


def test_images_of_a_wrong_shape_get_a_sentence():
    with pytest.raises(UserError, match="square images whose side 8 divides"):
        build("ib-gan", shape=(1, 30, 30))


@pytest.mark.gpu
@pytest.mark.parametrize("name", FRAMEWORK)
def test_cuda_agrees_with_the_cpu_on_the_codes(name):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model = build(name, noise_start=0.0).eval()
    images = batch().images
    codes = model.encode(images)
    on_gpu = model.cuda().encode(images.cuda()).cpu()
    torch.testing.assert_close(codes, on_gpu, rtol=1e-4, atol=1e-5)
