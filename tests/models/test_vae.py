"""The VAEs against published counts, formulas worked out elsewhere, and the limits in which they are one another."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.models import vae_networks
from disentangle_bench.models.base import Batch, count_parameters
from disentangle_bench.models.factor_vae import density_ratio, permute
from disentangle_bench.models.vae_framework import Pass
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.trainer import Trainer, build_model

FAMILY = ["vae", "beta-vae", "annealed-vae", "factor-vae", "beta-tcvae", "dip-vae-i", "dip-vae-ii"]
STEP = torch.tensor(1)


def build(name: str, configuration: str = "small", shape=(1, 16, 16), seed: int = 0, **changes):
    cls = registry.get("model", name)
    config = cls.Config.model_validate(cls.configurations[configuration].model_dump() | changes)
    return build_model(cls, config, shape, seed)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 8, side: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 1, side, side, generator=generator(seed))


def one_pass(mean, log_variance, z, likelihood="bernoulli", pixels=None, logits=None) -> Pass:
    pixels = torch.zeros(len(z), 1, 1, 1) if pixels is None else pixels
    logits = torch.zeros_like(pixels) if logits is None else logits
    return Pass(pixels, mean, log_variance, z, logits, likelihood)


def some_pass(count: int = 5, dimensions: int = 3) -> Pass:
    rng = generator(4)
    mean, log_variance, z = (torch.randn(count, dimensions, generator=rng) for _ in range(3))
    pixels, logits = torch.rand(count, 1, 4, 4, generator=rng), torch.randn(count, 1, 4, 4, generator=rng)
    return Pass(pixels, mean, 0.5 * log_variance, z, logits, "bernoulli")


def gradients(loss, parameters):
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)


# Architectures


def test_locatellos_networks_have_the_published_counts():
    for channels, total in ((1, 690_517), (3, 692_567)):
        model = build("vae", "dsprites", (channels, 64, 64))
        assert count_parameters(model.encoder) + count_parameters(model.decoder) == total
    model = build("vae", "dsprites", (1, 64, 64))
    assert (count_parameters(model.encoder), count_parameters(model.decoder)) == (309_204, 381_313)
    kernels = [layer.kernel_size[0] for layer in model.encoder.trunk if isinstance(layer, torch.nn.Conv2d)]
    assert kernels == [4, 4, 2, 2]


def test_the_other_published_networks():
    burgess = vae_networks.networks("burgess", (1, 64, 64), 10)
    assert sum(map(count_parameters, burgess)) == 502_005
    # 1Konny's, summed by hand: convolutions 544 + 16,416 + 32,832 + 65,600, then C(h, 4) and 2·10 heads
    for name, hidden in (("kim", 128), ("kim-256", 256)):
        encoder, decoder = vae_networks.networks(name, (1, 64, 64), 10)
        assert count_parameters(encoder) == 115_392 + (64 * 16 + 1) * hidden + (hidden + 1) * 20
        assert count_parameters(decoder) == 11 * hidden + (hidden * 16 + 1) * 64 + 65_600 + 32_800 + 16_416 + 513
    encoder, decoder = vae_networks.networks("mlp", (1, 64, 64), 10)
    assert count_parameters(encoder) == 4_097 * 1_200 + 1_201 * 1_200 + 1_201 * 20
    assert count_parameters(decoder) == 11 * 1_200 + 2 * 1_201 * 1_200 + 1_201 * 4_096


def test_the_tc_discriminators_have_the_published_counts():
    assert count_parameters(build("factor-vae", "dsprites", (1, 64, 64)).discriminator) == 5_018_002
    assert count_parameters(build("factor-vae", "kim-dsprites", (1, 64, 64)).discriminator) == 4_017_002


@pytest.mark.parametrize("architecture", ["locatello", "kim", "kim-256", "burgess", "mlp", "small"])
@pytest.mark.parametrize("side", [16, 32, 64])
def test_every_architecture_takes_other_sides(architecture, side):
    model = build("vae", architecture=architecture, shape=(3, side, side), z_dim=4).eval()
    x = torch.rand(2, 3, side, side)
    assert model.encode(x).shape == (2, 4)
    assert model.generate(model.encode(x)).shape == x.shape


def test_images_of_a_wrong_shape_get_a_sentence():
    with pytest.raises(UserError, match=r"architecture = 'small': .* side 16 divides.*24×24.*'mlp'"):
        build("vae", shape=(1, 24, 24))


def test_initial_weights_are_glorot_uniform_with_zero_biases():
    model = build("factor-vae", "dsprites", (1, 64, 64))
    up = next(layer for layer in model.decoder if isinstance(layer, torch.nn.ConvTranspose2d))
    cases = [(model.encoder.trunk[9], 1_024, 256), (model.encoder.mean, 256, 10), (up, 64 * 16, 64 * 16),
             (model.discriminator[2], 1_000, 1_000)]  # fmt: skip
    for layer, inputs, outputs in cases:
        limit = math.sqrt(6 / (inputs + outputs))
        assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
        assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
        assert not layer.bias.any()


def test_konnys_initialisations_spare_transposed_convolutions():
    normal, kaiming = build("factor-vae", "kim-dsprites", (1, 64, 64)), build("beta-vae", "celeba", (3, 64, 64))
    assert normal.encoder.trunk[8].weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert kaiming.encoder.trunk[8].weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 16)), rel=0.05)
    assert not normal.encoder.trunk[8].bias.any()
    for model in (normal, kaiming):
        assert model.decoder[-1].bias.any(), "PyTorch's own initialisation draws biases"
    untouched = build("beta-tcvae", "chen-dsprites", (1, 64, 64))
    assert untouched.encoder.trunk[1].weight.abs().max().item() == pytest.approx(1 / math.sqrt(4_096), rel=0.01)


# Settings


def test_published_settings():
    for name in FAMILY:
        config = registry.get("model", name).configurations["dsprites"]
        assert (config.architecture, config.init, config.z_dim, config.batch_size) == ("locatello", "glorot", 10, 64)
        assert config.steps == (150_000 if name == "factor-vae" else 300_000)
        player = build(name, "dsprites", (1, 64, 64)).players()["vae"]
        [settings] = player.optimiser(player.parameters).param_groups
        assert (settings["lr"], settings["betas"], settings["eps"]) == (1e-4, (0.9, 0.999), 1e-8)
    factor = build("factor-vae", "dsprites", (1, 64, 64))
    player = factor.players()["discriminator"]
    [settings] = player.optimiser(player.parameters).param_groups
    assert (settings["lr"], settings["betas"]) == (1e-4, (0.5, 0.9))
    assert (factor.config.permute_from, factor.config.d_clip) == ("same-batch", 1e-6)
    annealed = registry.get("model", "annealed-vae").configurations
    assert (annealed["dsprites"].gamma, annealed["dsprites"].c_steps) == (1_000, 100_000)
    assert (annealed["burgess"].gamma, annealed["burgess"].c_max, annealed["burgess"].lr) == (100, 20, 5e-4)
    higgins = registry.get("model", "beta-vae").configurations
    assert {name: (c.beta, c.z_dim) for name, c in higgins.items() if c.likelihood == "squared-error"} == {
        "chairs3d": (4, 10),
        "chairs3d-z16": (4, 16),
        "celeba": (10, 10),
        "celeba-z32": (10, 32),
    }
    kim = registry.get("model", "factor-vae").configurations
    assert {name: (c.gamma, c.d_lr, c.steps) for name, c in kim.items() if c.permute_from == "second-batch"} == {
        "kim-dsprites": (6.4, 1e-4, 700_000),
        "kim-dsprites-gamma10": (10, 1e-4, 700_000),
        "chairs3d": (3.2, 1e-5, 1_000_000),
        "celeba": (6.4, 1e-5, 1_000_000),
    }
    assert registry.get("model", "dip-vae-i").configurations["dsprites"].lambda_d_factor == 10
    assert registry.get("model", "dip-vae-ii").configurations["dsprites"].lambda_d_factor == 1


# Terms


def test_reconstruction_and_kl_against_torch_distributions():
    done = some_pass()
    pixels = Independent(Bernoulli(logits=done.logits, validate_args=False), 3)
    torch.testing.assert_close(done.reconstruction, -pixels.log_prob(done.images).mean())
    posterior = Normal(done.mean, (0.5 * done.log_variance).exp())
    kl = kl_divergence(posterior, Normal(0.0, 1.0))
    torch.testing.assert_close(done.kl_by_dimension, kl.mean(dim=0))
    torch.testing.assert_close(done.kl, kl.sum(dim=1).mean())


def test_z_is_a_sample_of_the_posterior():
    model = build("vae")
    with torch.no_grad():
        for layer, bias in ((model.encoder.mean, 5.0), (model.encoder.log_variance, math.log(9))):
            layer.weight.zero_()
            layer.bias.fill_(bias)
    z = model.infer(images(2_000), generator()).z
    assert z.mean().item() == pytest.approx(5, abs=0.1)
    assert z.std().item() == pytest.approx(3, rel=0.02)


def test_squared_error_by_hand():
    pixels = torch.tensor([[[[1.0, 0.0]]], [[[0.5, 0.25]]]])
    done = one_pass(*torch.zeros(3, 2, 1), "squared-error", pixels)  # the decoder says ½ everywhere
    assert done.reconstruction.item() == pytest.approx((0.25 + 0.25 + 0 + 0.0625) / 2)


def test_total_correlation_by_hand():
    # Two images, two dimensions, σ = 1: means (0, 0) and (a, a), and each z at its mean. With φ(0) the density at the
    # mean and r = exp(−a²/2): Σ_j q(z|x_j) = φ(0)²(1 + r²), and for each dimension φ(0)(1 + r).
    a = 1.3
    mean = torch.tensor([[0.0, 0.0], [a, a]])
    done = one_pass(mean, torch.zeros(2, 2), mean)
    r = math.exp(-(a**2) / 2)
    assert done.unnormalised_tc.item() == pytest.approx(math.log((1 + r**2) / (1 + r) ** 2), abs=1e-6)
    assert done.total_correlation.item() == pytest.approx(math.log(2 * (1 + r**2) / (1 + r) ** 2), abs=1e-6)


def test_stratified_total_correlation_by_hand():
    """As above, but of 10 images. With two in the batch, one's own weighs 1/10 and the other 9/10; with three, at
    (0, 0), (a, a) and (b, b), the third has, for the first, 1/2 and the second (10 − 2)/(10·2) = 2/5."""
    a, b = 1.3, -0.4
    two = torch.tensor([[0.0, 0.0], [a, a]])
    r = math.exp(-(a**2) / 2)
    expected = math.log((0.1 + 0.9 * r**2) / (0.1 + 0.9 * r) ** 2)
    assert one_pass(two, torch.zeros(2, 2), two).stratified_tc(10).item() == pytest.approx(expected, abs=1e-6)
    points = [0.0, a, b]
    weights = [[0.1, 0.4, 0.5], [0.5, 0.1, 0.4], [0.4, 0.5, 0.1]]
    expected = 0.0
    for x, row in zip(points, weights, strict=True):
        near = [math.exp(-((x - y) ** 2) / 2) for y in points]
        joint = sum(w * q**2 for w, q in zip(row, near, strict=True))
        single = sum(w * q for w, q in zip(row, near, strict=True))
        expected += math.log(joint / single**2) / 3
    three = torch.tensor([[x, x] for x in points])
    assert one_pass(three, torch.zeros(3, 2), three).stratified_tc(10).item() == pytest.approx(expected, abs=1e-6)


def test_stratified_weights_are_a_field_of_beta_tcvae():
    done = some_pass()
    tc = build("beta-tcvae", beta=3.0, stratified_over=100, batch_size=8).regulariser(done, STEP) - done.kl
    assert tc.item() == pytest.approx(2 * done.stratified_tc(100).item(), rel=1e-4)
    with pytest.raises(ValueError, match="stratified_over = 7 is less than batch_size = 8"):
        build("beta-tcvae", stratified_over=7, batch_size=8)


def test_an_encoder_that_gives_log_sigma():
    """The same two heads: 2·s is the log-variance where the second head gives s."""
    plain, doubled = build("vae"), build("vae", encoder_gives="log-sigma")
    with torch.no_grad():
        doubled.encoder.log_variance.weight.div_(2)
        doubled.encoder.log_variance.bias.div_(2)
    a, b = plain.infer(images(8), generator()), doubled.infer(images(8), generator())
    torch.testing.assert_close(a.log_variance, b.log_variance)
    torch.testing.assert_close(a.z, b.z)
    chen = registry.get("model", "beta-tcvae").configurations
    assert {name for name, config in chen.items() if config.encoder_gives == "log-sigma"} == {"chen-dsprites"}
    assert "encoder_gives" not in chen["dsprites"].model_dump(), "older trials keep their ids"


def test_total_correlation_in_its_limits():
    far = torch.tensor([[0.0, 0.0], [100.0, 100.0]])  # two points on the diagonal: one bit that both dimensions share
    assert one_pass(far, torch.zeros(2, 2), far).total_correlation.item() == pytest.approx(math.log(2))
    square = torch.tensor([[0.0, 0.0], [0.0, 100.0], [100.0, 0.0], [100.0, 100.0]])  # independent bits share nothing
    assert one_pass(square, torch.zeros(4, 2), square).total_correlation.item() == pytest.approx(0, abs=1e-5)
    alone = torch.randn(1, 3, generator=generator())
    assert one_pass(alone, torch.zeros(1, 3), alone + 1).total_correlation.item() == pytest.approx(0, abs=1e-5)


def test_total_correlation_against_torch_distributions():
    done = some_pass()
    density = Normal(done.mean, (0.5 * done.log_variance).exp()).log_prob(done.z[:, None])  # (i, j, d)
    joint = density.sum(dim=2).exp().mean(dim=1).log()
    product = density.exp().mean(dim=1).log().sum(dim=1)
    torch.testing.assert_close(done.total_correlation, (joint - product).mean())


def test_dip_covariances_and_losses_by_hand():
    mean = torch.tensor([[1.0, 2.0], [-1.0, 0.0]])  # Cov = [[1, 1], [1, 1]], divided by 2
    log_variance = torch.tensor([[3.0, 1.0], [1.0, 2.0]]).log()  # E diag σ² = diag(2, 1.5)
    done = one_pass(mean, log_variance, mean)
    one = build("dip-vae-i", lambda_od=3.0, lambda_d_factor=10.0)
    two = build("dip-vae-ii", lambda_od=3.0, lambda_d_factor=1.0)
    torch.testing.assert_close(one.covariance(done), torch.ones(2, 2))
    torch.testing.assert_close(two.covariance(done), torch.tensor([[3.0, 1.0], [1.0, 2.5]]))
    assert (one.regulariser(done, STEP) - done.kl).item() == pytest.approx(3 * (1 + 1) + 30 * 0, abs=1e-4)
    assert (two.regulariser(done, STEP) - done.kl).item() == pytest.approx(3 * 2 + 3 * (2**2 + 1.5**2), abs=1e-4)
    assert two.own_diagnostics(done, STEP)["largest_covariance"].item() == pytest.approx(1)


@pytest.mark.parametrize(("step", "capacity"), [(1, 0.00025), (40_000, 10.0), (100_000, 25.0), (250_000, 25.0)])
def test_the_capacity_grows_and_stays(step, capacity):
    model = build("annealed-vae", c_max=25.0, c_steps=100_000, gamma=7.0)
    now = torch.tensor(step)
    assert model.capacity(now).item() == pytest.approx(capacity)
    done = some_pass()
    expected = 7 * abs(done.kl.item() - capacity)
    assert model.regulariser(done, now).item() == pytest.approx(expected, rel=1e-5)


def test_the_losses_by_hand():
    done = some_pass()
    assert build("beta-vae", beta=3.0).regulariser(done, STEP).item() == pytest.approx(3 * done.kl.item())
    tc = build("beta-tcvae", beta=3.0).regulariser(done, STEP) - done.kl
    assert tc.item() == pytest.approx(2 * done.unnormalised_tc.item(), rel=1e-5)


def test_the_density_ratio_of_an_optimal_discriminator_is_the_total_correlation():
    # z = ±1 in both dimensions at once against independent signs: q/Πq is 2 or 0, E_q log 2 = log 2.
    logits = torch.tensor([[math.log(2 / 3), math.log(1 / 3)]]).repeat(4, 1)  # p₀ = q/(q + Πq) on q's support
    assert density_ratio(logits).item() == pytest.approx(math.log(2))


def test_factor_vaes_losses_by_hand():
    model = build("factor-vae", gamma=5.0, d_clip=0.0)
    losses = model.losses(Batch(images()), generator(), STEP)
    rng = generator()
    done = model.infer(images(), rng)
    logits = [model.discriminator(z) for z in (done.z, permute(done.z, rng))]
    expected = done.reconstruction + done.kl + 5 * (logits[0][:, 0] - logits[0][:, 1]).mean()
    torch.testing.assert_close(losses["vae"], expected)
    labels = [torch.full((8,), label) for label in (0, 1)]
    cross = [torch.nn.functional.cross_entropy(*pair) for pair in zip(logits, labels, strict=True)]
    torch.testing.assert_close(losses["discriminator"], 0.5 * (cross[0] + cross[1]))


def test_a_clipped_probability_has_the_clips_value_and_no_gradient():
    model = build("factor-vae", d_clip=1e-6)
    for gap, clipped in ((30.0, True), (2.0, False), (-30.0, True)):
        logits = torch.tensor([[gap, 0.0]], requires_grad=True)
        value = model.log_probability(logits, 0)
        p = logits.detach().double().softmax(dim=1).clamp(1e-6, 1 - 1e-6)[0, 0]
        assert value.item() == pytest.approx(p.log().item(), rel=1e-4, abs=1e-7)
        [slope] = torch.autograd.grad(value, logits)
        assert (slope == 0).all() == clipped


def test_permuting_keeps_each_dimension_and_breaks_the_rows():
    z = torch.arange(300.0).view(100, 3)
    permuted = permute(z, generator())
    assert torch.equal(permuted.sort(dim=0).values, z)
    rows = permuted // 3
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (rows[:, a] == rows[:, b]).float().mean() < 0.1
    assert torch.equal(permuted, permute(z, generator()))


@pytest.mark.parametrize(
    ("permute_from", "vae_sees", "permuted"),
    [("same-batch", "all", "all"), ("second-batch", "all", "second"), ("half-batch", "first", "last")],
)
def test_whose_codes_are_permuted(permute_from, vae_sees, permuted):
    model = build("factor-vae", permute_from=permute_from)
    assert model.needs_second_batch == (permute_from == "second-batch")
    second = images(8, seed=2) if model.needs_second_batch else None
    batch = Batch(images(8), second=second)
    chosen = {"all": batch.images, "second": second, "first": batch.images[:4], "last": batch.images[4:]}
    seen, judged = [], []
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model.discriminator.register_forward_hook(lambda module, inputs, output: judged.append(inputs[0]))
    losses = model.losses(batch, generator(), STEP)
    assert torch.equal(seen[0], chosen[vae_sees])
    assert torch.equal(seen[-1], chosen[permuted])
    assert len(seen) == 1 + (permuted != vae_sees)
    assert all(loss.isfinite() for loss in losses.values())
    rng = generator()
    z = model.infer(chosen[vae_sees], rng).z
    assert torch.equal(judged[0], z)
    samples = z if permuted == vae_sees else model.sample(chosen[permuted], rng)[2]
    assert torch.equal(judged[1].sort(dim=0).values, samples.sort(dim=0).values)


# Limits in which one model is another, bit for bit


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("beta-vae", {"beta": 1.0}),
        ("beta-tcvae", {"beta": 1.0}),
        ("factor-vae", {"gamma": 0.0}),
        ("dip-vae-i", {"lambda_od": 0.0}),
        ("dip-vae-ii", {"lambda_od": 0.0}),
        ("annealed-vae", {"gamma": 1.0, "c_max": 0.0}),
    ],
)
def test_without_its_own_term_each_model_is_the_vae(name, changes):
    same_loss_and_gradients((name, changes), ("vae", {}))


def test_annealing_to_no_capacity_is_beta_vae():
    same_loss_and_gradients(("annealed-vae", {"gamma": 6.0, "c_max": 0.0}), ("beta-vae", {"beta": 6.0}))


def same_loss_and_gradients(*sides):
    found = []
    for name, changes in sides:
        model = build(name, **changes)
        loss = model.losses(Batch(images()), generator(), torch.tensor(500))["vae"]
        found.append((loss, torch.autograd.grad(loss, model.players()["vae"].parameters)))
    (a, ours), (b, theirs) = found
    assert a.item() == b.item()
    assert all(torch.equal(x, y) for x, y in zip(ours, theirs, strict=True))


# Players, draws, curves


@pytest.mark.parametrize("name", FAMILY)
def test_every_parameter_belongs_to_exactly_one_player_which_moves_it(name):
    model = build(name)
    owned = [id(p) for player in model.players().values() for p in player.parameters]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    losses = model.losses(Batch(images()), generator(), STEP)
    for player, loss in losses.items():
        for gradient in gradients(loss, model.players()[player].parameters):
            assert gradient.abs().sum() > 0


@pytest.mark.parametrize("permute_from", ["same-batch", "second-batch", "half-batch"])
def test_one_step_moves_each_of_factor_vaes_players_against_its_own_loss_alone(place, permute_from):
    ours, reference = build("factor-vae", permute_from=permute_from), build("factor-vae", permute_from=permute_from)
    data = DeviceImages(registry.get("dataset", "tiny")(place.data), torch.device("cpu"), ours.image_range)
    trainer = Trainer(ours, data, ours.config, 0, "trial", place.results / "checkpoint.pt")
    rng = torch.Generator()
    rng.set_state(trainer.state.rng.get_state())
    trainer.step = 1
    trainer.update()
    indices = [torch.randint(len(data), (64,), generator=rng) for _ in range(1 + reference.needs_second_batch)]
    losses = reference.losses(Batch(data(indices[0]), second=data(indices[-1]) if indices[1:] else None), rng, STEP)
    players = reference.players()
    taken = {name: gradients(losses[name], player.parameters) for name, player in players.items()}
    for name, player in players.items():
        for parameter, gradient in zip(player.parameters, taken[name], strict=True):
            parameter.grad = gradient
        player.optimiser(player.parameters).step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), reference.parameters(), strict=True))


@pytest.mark.parametrize("name", FAMILY)
def test_draws_come_from_the_passed_generator_alone(name):
    state = torch.get_rng_state()
    losses = []
    for _ in range(2):
        model = build(name)
        rng = generator(3)
        batch = model.begin(Batch(images()), rng, STEP)
        losses.append({k: v.item() for k, v in model.losses(batch, rng, STEP).items()})
        model.eval()
        model.diagnostics(Batch(images()), generator(3), STEP)
    assert torch.equal(torch.get_rng_state(), state)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", FAMILY)
def test_the_curves_add_up(name):
    model = build(name)
    model.eval()
    curves = model.diagnostics(Batch(images()), generator(), STEP)
    done = model.infer(images(), generator())
    torch.testing.assert_close(torch.stack([curves[f"kl_{d}"] for d in range(10)]).sum(), curves["information_upper"])
    torch.testing.assert_close(curves["elbo"], -(curves["reconstruction"] + curves["information_upper"]))
    torch.testing.assert_close(curves["total_correlation"], done.total_correlation)
    assert all(curve.isfinite() and curve.shape == () for curve in curves.values())
    own = {"annealed-vae": "capacity", "factor-vae": "density_ratio", "dip-vae-i": "mean_variance"}
    assert own.get(name, "elbo") in curves


@pytest.mark.parametrize("name", FAMILY)
def test_codes_are_means_and_images_lie_in_their_range(name):
    model = build(name).eval()
    codes = model.sample_codes(3, generator())
    pictures = model.generate(codes)
    assert codes.shape == (3, 10)
    assert pictures.shape == (3, 1, 16, 16)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    mean, _ = model.encoder(images())
    assert torch.equal(model.encode(images()), mean)


@pytest.mark.gpu
@pytest.mark.parametrize("name", FAMILY)
def test_cuda_agrees_with_the_cpu_on_the_codes(name):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model = build(name).eval()
    codes = model.encode(images())
    torch.testing.assert_close(codes, model.cuda().encode(images().cuda()).cpu(), rtol=1e-4, atol=1e-5)
