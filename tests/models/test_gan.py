"""GANs beside IB-GAN's dSprites framework: published counts, loss terms, who moves what, limits that tie them."""

import json
import math

import pytest
import torch
from torch.distributions import Categorical, Normal

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.models.adversarial import (
    NORMAL_ENTROPY,
    UNIFORM_ENTROPY,
    discriminator_loss,
    gaussian_information,
    generator_loss,
    halvings,
)
from disentangle_bench.models.base import Batch, Model, count_parameters
from disentangle_bench.models.cgan_networks import Dropout, Maxout, ScheduledSGD
from disentangle_bench.models.ib_gan_framework import Round
from disentangle_bench.models.infogan_cr_config import ModifiedConfig
from disentangle_bench.models.infogan_modified import Pairs
from disentangle_bench.models.infogan_networks import Guess, Latents
from disentangle_bench.studies.config import StudyConfig, resolve_configs
from disentangle_bench.training.trainer import build_model
from disentangle_bench.trials.spec import TrialSpec
from tests.helpers import MINI_RECORDS

GANS = ["dcgan", "cgan", "infogan-original", "infogan-modified", "infogan-cr", "c-infogan"]
CLASSES = 3
RECORDS = MINI_RECORDS
STEP = torch.tensor(1)


def build(name: str, configuration: str = "small", shape=(1, 16, 16), seed: int = 0, **changes) -> Model:
    cls = registry.get("model", name)
    config = cls.Config.model_validate(cls.configurations[configuration].model_dump() | changes)
    return build_model(cls, config, shape, seed, CLASSES)


def unbuilt(name: str, configuration: str, shape, classes: int = 0) -> Model:
    """The model without memory for its weights."""
    cls = registry.get("model", name)
    with torch.device("meta"):
        return cls(cls.configurations[configuration], shape, **({"classes": classes} if cls.conditional else {}))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(model: Model, count: int = 8, side: int = 16) -> Batch:
    low, high = model.image_range
    images = torch.rand(count, 1, side, side, generator=generator(1)) * (high - low) + low
    return Batch(images, torch.arange(count) % CLASSES if model.conditional else None)


def phase_losses(model: Model, given: Batch, seed: int = 0, step: torch.Tensor = STEP) -> list[dict[str, torch.Tensor]]:
    """The losses of each phase of one step, with no player moving."""
    rng = generator(seed)
    shared = model.begin(given, rng, step)
    return [getattr(model, phase)(shared, rng, step) for phase in model.phases]


def all_losses(model: Model, given: Batch, seed: int = 0) -> dict[str, torch.Tensor]:
    return {name: loss for losses in phase_losses(model, given, seed) for name, loss in losses.items()}


# Parameter counts

CELEBA_CONVOLUTIONS = (64 * 25 + 1) * 128 + (128 * 25 + 1) * 256 + (256 * 25 + 1) * 512  # D's and H's, but the first


@pytest.mark.parametrize(
    ("configuration", "shape", "g", "dr"),
    [
        ("dsprites", (1, 64, 64), 1_181_749, 4_496_817),
        ("dsprites-color8", (3, 64, 64), 1_182_263, 4_497_841),
        ("celeba", (3, 64, 64), 18_696_001, 36_645_761),
        ("chairs3d", (1, 64, 64), 4_696_885, 2_304_273),
        ("chairs3d-ndf32", (1, 64, 64), 4_696_885, 9_179_617),
    ],
)
def test_ib_gans_published_parameter_counts(configuration, shape, g, dr):
    model = unbuilt("ib-gan", configuration, shape)
    assert count_parameters(model.embedding) + count_parameters(model.generator) == g
    assert sum(count_parameters(part) for part in (model.front, model.reconstructor, model.discriminator)) == dr


@pytest.mark.parametrize(
    ("name", "configuration", "shape", "counts"),
    [
        ("dcgan", "pytorch-examples", (3, 64, 64), {"generator": 3_576_704, "discriminator": 2_765_568}),
        ("cgan", "mnist", (1, 28, 28), {"generator": 2_413_984, "discriminator": 1_224_351}),
        ("infogan-original", "mnist", (1, 28, 28), {"generator": 6_652_481, "recognition": 133_262}),
        ("infogan-original", "celeba", (3, 32, 32), {"recognition": 4096 * 128 + 128 + 2 * 128 + 129 * 100}),
        ("infogan-modified", "dsprites", (1, 64, 64), {"generator": 251_393, "shared": 246_592}),
        ("infogan-cr", "dsprites", (1, 64, 64), {"generator": 251_393, "shared": 246_592, "contrast": 247_749}),
        (  # three codes fewer than dSprites', each of which has 128 weights in G and, with a bias, 129 in Q and H
            "infogan-cr", "dsprites-circular", (1, 64, 64),
            {"generator": 251_393 - 3 * 128, "shared": 246_592, "recognition": 17_157 - 3 * 129,
             "contrast": 247_749 - 3 * 129},
        ),
        (  # two channels more: G's last layer, D's first, H's with 4 more; batch norm in H after 32, 64, 64, 128 units
            "infogan-cr", "teapot", (3, 64, 64),
            {"generator": 251_393 + 2 * (32 * 16 + 1), "shared": 246_592 + 2 * 16 * 32, "recognition": 17_157,
             "contrast": 247_749 + 4 * 16 * 32 + 2 * (32 + 64 + 64 + 128)},
        ),
        (
            "infogan-cr", "celeba-infogan-cr", (3, 32, 32),
            {"generator": 106 * 1024 + 2 * 1024 + 1025 * 4096 + 2 * 4096 + (256 * 25 + 1) * 128 + 2 * 128
             + (128 * 25 + 1) * 64 + 2 * 64 + (64 * 25 + 1) * 3,
             "shared": (3 * 25 + 1) * 64 + CELEBA_CONVOLUTIONS, "discriminator": 2049, "recognition": 2049 * 5,
             "contrast": (6 * 25 + 1) * 64 + CELEBA_CONVOLUTIONS + 2 * (128 + 256 + 512) + 2049 * 5},
        ),
        ("infogan-modified", "celeba-infogan-cr", (3, 32, 32), {"generator": 5_346_563, "shared": 4_306_560}),
    ],
)  # fmt: skip
def test_published_parameter_counts(name, configuration, shape, counts):
    model = unbuilt(name, configuration, shape, classes=10)
    assert {part: count_parameters(getattr(model, part)) for part in counts} == counts


def test_parameter_counts_that_are_sums():
    openai = unbuilt("infogan-original", "mnist", (1, 28, 28))
    assert count_parameters(openai.trunk) + count_parameters(openai.discriminator) == 6_559_169
    modified = unbuilt("infogan-modified", "dsprites", (1, 64, 64))
    assert count_parameters(modified.recognition) == 17_157
    assert count_parameters(modified.discriminator) == 129
    conditional = unbuilt("c-infogan", "mnist", (1, 28, 28), classes=10)
    assert count_parameters(conditional.generator) == 6_652_481  # 62 + 2 + 10 inputs, as 62 + 10 + 2
    assert count_parameters(conditional.trunk) == 6_559_169 - 1_025 + 10 * 64 * 16


@pytest.mark.parametrize(
    ("layout", "shape", "latent"),
    [("mnist", (1, 28, 28), 74), ("celeba", (3, 32, 32), 228), ("chairs3d", (1, 64, 64), 189)],
)
def test_published_layouts_give_their_image_size(layout, shape, latent):
    model = unbuilt("infogan-original", layout, shape)
    images = model.generator(torch.zeros(2, latent, device="meta"))
    assert images.shape == (2, *shape)
    assert model.look(images, None)[0].shape == (2, 1)


# Settings


def test_ib_gans_published_settings():
    from disentangle_bench.models.ib_gan import IBGAN

    named = IBGAN.configurations
    settings = ("architecture", "ngf", "ndf", "z_dim", "r_dim", "beta", "d_lr", "g_lr", "steps", "batch_size")
    assert {name: tuple(getattr(config, key) for key in settings) for name, config in named.items()} == {
        "dsprites": ("a", 16, 16, 16, 10, 0.141, 1e-6, 5e-5, 150_000, 64),
        "dsprites-color8": ("a", 16, 16, 16, 10, 0.071, 1e-6, 5e-5, 500_000, 64),
        "celeba": ("b", 64, 64, 64, 15, 0.35, 2e-6, 5e-5, 1_000_000, 64),
        "chairs3d": ("b", 32, 16, 64, 10, 0.325, 2e-6, 5e-5, 700_000, 64),
        "chairs3d-ndf32": ("b", 32, 32, 64, 10, 0.325, 2e-6, 5e-5, 700_000, 64),
        "small": ("a", 8, 8, 16, 10, 0.141, 1e-4, 1e-3, 2_500, 64),
    }
    assert {c.optimiser for name, c in named.items() if name != "small"} == {"rmsprop"}


def test_cgans_published_settings():
    config = registry.get("model", "cgan").configurations["mnist"]
    assert (config.z_units, config.label_units, config.joint_units) == (200, 1000, 1200)
    assert (config.image_maxout, config.label_maxout, config.joint_maxout) == ((240, 5), (50, 5), (240, 4))
    assert (config.d_lr, config.g_lr, config.batch_size, config.dropout) == (0.1, 0.1, 100, 0.5)
    assert (config.batch_norm, config.instance_noise) == (False, 0)


@pytest.mark.parametrize("step", [1, 350_000, 700_000])
def test_architecture_bs_noise_falls_over_all_iterations(step):
    model = build("ib-gan", "chairs3d", ngf=1, ndf=1)
    assert model.noise(torch.tensor(step)).item() == pytest.approx(0.5 - 0.49 * step / 700_000, abs=1e-6)


def test_infogan_crs_published_settings():
    settings = ("layout", "width", "code_dim", "noise_dim", "batch_size", "information_weight", "g_lr", "d_lr", "h_lr")
    schedule = ("steps", "switch_step", "alpha", "gap", "gap_steps")
    named = {k: v for k, v in registry.get("model", "infogan-cr").configurations.items() if k != "small"}
    assert {name: tuple(getattr(config, key) for key in settings) for name, config in named.items()} == {
        "dsprites": ("dsprites", 32, 5, 5, 64, 0.05, 1e-3, 2e-3, 2e-3),
        "dsprites-circular": ("dsprites", 32, 2, 5, 30, 0.2, 1e-3, 2e-3, 2e-3),
        "teapot": ("teapot", 32, 5, 5, 64, 0.2, 1e-3, 2e-3, 2e-3),
        "celeba-infogan-cr": ("celeba", 64, 5, 100, 128, 2.0, 2e-3, 2e-4, 2e-4),
    }
    assert {name: tuple(getattr(config, key) for key in schedule) for name, config in named.items()} == {
        "dsprites": (28 * (737_280 // 64), 288_001, 2.0, 0.0, 0),
        "dsprites-circular": (8_000 * (1_080 // 30), 216_001, 2.0, 0.0, 0),
        "teapot": (40 * (200_000 // 64), 50_001, 3.0, 1.9, 85_000),
        "celeba-infogan-cr": (57 * (202_599 // 128), 80_001, 1.0, 0.0, 0),
    }
    modified = registry.get("model", "infogan-modified").configurations
    for name, config in named.items():
        shared = {key: getattr(config, key) for key in type(modified[name]).model_fields}
        assert modified[name] == ModifiedConfig(**shared | {"steps": config.switch_step - 1})


def test_a_study_of_a_dataset_picks_the_configuration_of_its_name():
    study = StudyConfig(name="s", models=["infogan-cr"], datasets=["celeba-infogan-cr"])
    [(name, config)] = resolve_configs(study, "infogan-cr", "celeba-infogan-cr").items()
    assert (name, config.layout) == ("celeba-infogan-cr", "celeba")


def test_settings_that_came_later_leave_the_ids_of_older_trials_as_they_are():
    records = [json.loads(path.read_text()) for path in RECORDS.glob("*.json")]
    recorded = [record for record in records if record["spec"]["model"] == "infogan-modified"]
    assert len(recorded) == 5
    config = registry.get("model", "infogan-modified").configurations["small"].model_dump(mode="json")
    for record in recorded:
        assert TrialSpec(**record["spec"] | {"config": config}).id == record["id"]
    teapot = registry.get("model", "infogan-cr").configurations["teapot"].model_dump(mode="json")
    assert (teapot["layout"], teapot["gap"], teapot["gap_steps"]) == ("teapot", 1.9, 85_000)


@pytest.mark.parametrize("changes", [{"gap": 1.9}, {"gap_steps": 10}])
def test_a_gap_without_steps_or_the_reverse_gets_a_sentence(changes):
    with pytest.raises(ValueError, match=r"gap = .* and gap_steps = .*; set both or neither"):
        build("infogan-cr", **changes)


def test_the_official_infogans_settings():
    config = registry.get("model", "infogan-original").configurations["mnist"]
    assert (config.noise_dim, config.categorical, config.continuous) == (62, (10,), 2)
    assert (config.d_lr, config.g_lr, config.batch_size, config.steps) == (2e-4, 1e-3, 128, 5_000)
    assert (config.lambda_categorical, config.lambda_continuous, config.fix_std, config.leak) == (1, 1, True, 0.01)


def test_cgans_schedule():
    weight = torch.nn.Parameter(torch.zeros(1))
    sgd = ScheduledSGD([weight], lr=0.1, decay=1.00004, floor=1e-6, momentum=(0.5, 0.7), momentum_steps=4)
    seen = []
    for _ in range(6):
        weight.grad = torch.ones(1)
        seen.append((sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]))
        sgd.step()
    assert [lr for lr, _ in seen] == pytest.approx([0.1 / 1.00004**i for i in range(6)], rel=1e-12)
    assert [momentum for _, momentum in seen] == pytest.approx([0.5, 0.55, 0.6, 0.65, 0.7, 0.7])
    sgd.param_groups[0]["lr"] = 1.00001e-6
    sgd.step()
    assert sgd.param_groups[0]["lr"] == 1e-6
    other = ScheduledSGD([weight], lr=0.1, decay=1.00004, floor=1e-6, momentum=(0.5, 0.7), momentum_steps=4)
    other.load_state_dict(sgd.state_dict())
    assert other.param_groups[0]["lr"] == 1e-6


# Initial weights and architecture


def test_architecture_bs_weights_are_orthogonal():
    model = build("ib-gan", "chairs3d", ngf=2, ndf=2)
    weight = model.reconstructor[-2].weight.flatten(1)  # (64, 32)
    torch.testing.assert_close(weight.T @ weight, torch.eye(32), rtol=0, atol=1e-5)
    assert not model.front[0].bias.any()


def test_architecture_bs_front_is_the_discriminators_alone_and_feels_no_information():
    model = build("ib-gan", "chairs3d", ngf=2, ndf=2)
    players = model.players()
    front = {id(p) for p in model.front.parameters()}
    assert front <= {id(p) for p in players["discriminator"].parameters}
    assert not front & {id(p) for p in players["generator"].parameters}
    seen = []
    model.front.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    losses = model.losses(batch(model), generator(), STEP)
    assert len(seen) == 2, "one pass over fakes, one over reals"
    for gradient in torch.autograd.grad(losses["generator"], players["generator"].parameters):
        assert gradient.abs().sum() > 0, "e, G and q learn through the front"


def test_real_labels_are_smoothed_for_the_discriminator_alone():
    model = build("ib-gan", "chairs3d", ngf=2, ndf=2)
    labels = model.real_labels(torch.zeros(1000, 1), generator())
    assert 0.7 <= labels.min() < 0.72
    assert 1.18 < labels.max() <= 1.2
    logits = torch.tensor([[0.3], [-1.2]])
    zeros = torch.zeros(2, 1)
    round = Round(zeros, zeros, zeros, zeros, logits, logits, torch.tensor([[0.7], [1.2]]))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(logits, zeros) + bce(logits, torch.tensor([[0.7], [1.2]]))
    torch.testing.assert_close(round.discriminator_loss, expected)
    torch.testing.assert_close(round.generator_loss, bce(logits, torch.ones(2, 1)))


def test_spectral_norm_bounds_each_layer_but_hs_last():
    model = build("infogan-cr")
    for _ in range(30):
        model.end(STEP)
    first = model.shared[0].weight.flatten(1)
    assert torch.linalg.matrix_norm(first, 2).item() == pytest.approx(1, rel=1e-3)
    assert hasattr(model.recognition[0], "parametrizations")
    assert hasattr(model.discriminator, "parametrizations")
    assert not hasattr(model.contrast[1], "parametrizations")


@pytest.mark.parametrize(("layout", "convolutions"), [("teapot", 2), ("celeba", 3)])
def test_these_hs_have_batch_norm_and_no_spectral_norm(layout, convolutions):
    """On 16×16 images: one for each convolution but the first; the teapots' has one more, of its dense layer."""
    model = build("infogan-cr", layout=layout)
    layers = list(model.contrast.modules())
    assert not any(hasattr(layer, "parametrizations") for layer in layers)
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers) == convolutions - 1
    assert sum(isinstance(layer, torch.nn.BatchNorm1d) for layer in layers) == (layout == "teapot")
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == convolutions
    assert hasattr(model.shared[0], "parametrizations")


@pytest.mark.parametrize("side", [16, 28, 32, 64])
def test_celebas_networks_take_other_sizes_too(side):
    model = build("infogan-cr", layout="celeba", width=4, shape=(3, side, side)).eval()
    images = model.generate(model.sample_codes(2, generator()))
    assert images.shape == (2, 3, side, side)
    assert model.image_range == (-1, 1)
    assert images.min() < 0, "tanh, not a sigmoid"
    assert model.encode(images).shape == (2, 5)
    assert build("infogan-cr").image_range == (0, 1)


@pytest.mark.parametrize(
    ("side", "expected"), [(64, (4, 4)), (32, (3, 4)), (16, (2, 4)), (28, (2, 7)), (8, (1, 4)), (24, (2, 6))]
)
def test_images_are_halved_to_a_side_of_four_to_seven(side, expected):
    assert halvings("m", (1, side, side)) == expected


@pytest.mark.parametrize("name", ["dcgan", "infogan-modified", "infogan-cr"])
@pytest.mark.parametrize("shape", [(1, 30, 30), (1, 4, 4), (1, 16, 32)])
def test_images_of_a_wrong_shape_get_a_sentence(name, shape):
    with pytest.raises(UserError, match=rf"{name}: its networks take square images .* are {shape[1]}×{shape[2]}"):
        build(name, shape=shape)


@pytest.mark.parametrize("name", ["infogan-original", "c-infogan"])
def test_images_that_a_layout_cant_make_get_a_sentence(name):
    with pytest.raises(UserError, match=rf"{name}: this layout takes square images whose side 4 divides.* 30×30"):
        build(name, shape=(1, 30, 30))


# Loss terms


def test_the_adversarial_losses_against_cross_entropy():
    real, fake = torch.tensor([[0.4], [-2.0]]), torch.tensor([[1.5], [0.1]])
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(real, torch.ones(2, 1)) + bce(fake, torch.zeros(2, 1))
    torch.testing.assert_close(discriminator_loss(real, fake), expected)
    torch.testing.assert_close(generator_loss(fake), bce(fake, torch.ones(2, 1)))


def test_the_information_bound_is_the_information_of_a_gaussian_channel():
    codes = torch.randn(200_000, 2, generator=generator())
    means = 0.8 * codes + 0.6 * 0.8 * torch.randn(200_000, 2, generator=generator(1))
    # ĉ = .8c + noise of σ .48: c given ĉ's best linear guess leaves E(c − ĉ)² = .04 + .2304
    bound = gaussian_information(NORMAL_ENTROPY, codes, means)
    assert bound.tolist() == pytest.approx([-0.5 * math.log(0.2704)] * 2, abs=0.01)
    blind = gaussian_information(UNIFORM_ENTROPY, 2 * torch.rand(200_000, 1, generator=generator()) - 1, torch.zeros(1))
    assert blind.item() == pytest.approx(math.log(2) - 0.5 * math.log(2 * math.pi * math.e / 3), abs=0.01)


def test_infogans_information_terms_against_torch_distributions():
    logits, mean = torch.randn(6, 4, generator=generator()), torch.randn(6, 2, generator=generator(1))
    log_std = 0.3 * torch.randn(6, 2, generator=generator(2))
    latents = Latents(torch.zeros(6, 0), [torch.tensor([0, 1, 2, 3, 0, 1])], torch.rand(6, 2, generator=generator(3)))
    guess = Guess([logits], mean, log_std)
    [discrete] = guess.categorical(latents)
    expected = math.log(4) + Categorical(logits=logits).log_prob(latents.categories[0]).mean()
    torch.testing.assert_close(discrete, expected)
    likelihood = Normal(mean, log_std.exp()).log_prob(latents.continuous).mean(dim=0)
    prior = Normal(0.0, 1.0).log_prob(latents.continuous).mean(dim=0)
    torch.testing.assert_close(guess.continuous(latents), likelihood - prior)
    perfect = Guess([logits], latents.continuous, torch.zeros(6, 2)).continuous(latents)
    torch.testing.assert_close(perfect, 0.5 * latents.continuous.square().mean(dim=0))  # 1/6 on average, at σ = 1


def test_infogans_losses_by_hand():
    weights = {"lambda_categorical": 2.0, "lambda_continuous": 3.0, "batch_norm": "apart"}
    weighted = phase_losses(build("infogan-original", **weights), batch(build("infogan-original")))
    plain = build("infogan-original", batch_norm="apart")
    rng, given = generator(), batch(plain)
    latents = plain.draw(8, rng)
    fakes = plain.imagine(latents, None)
    fake_logits, guess = plain.look(fakes, None)
    real_logits, _ = plain.look(given.images, None)
    information = 2 * guess.categorical(latents)[0] + 3 * guess.continuous(latents).sum()
    expected = discriminator_loss(real_logits, fake_logits) - information
    torch.testing.assert_close(weighted[0]["discriminator"], expected)
    again = plain.draw(8, rng)
    logits, guess = plain.look(plain.imagine(again, None), None)
    information = 2 * guess.categorical(again)[0] + 3 * guess.continuous(again).sum()
    torch.testing.assert_close(weighted[1]["generator"], generator_loss(logits) - information)
    assert not torch.equal(latents.continuous, again.continuous), "either step draws its own latents"


@pytest.mark.parametrize("name", ["infogan-original", "c-infogan"])
def test_infogan_without_lambda_is_a_plain_gan(name):
    zero = build(name, lambda_categorical=0.0, lambda_continuous=0.0, batch_norm="apart")
    given = batch(zero)
    losses = phase_losses(zero, given)
    same = build(name)
    rng = generator()
    fakes = same.imagine(same.draw(8, rng), given.labels)
    fake, real = same.look(fakes, given.labels)[0], same.look(given.images, given.labels)[0]
    torch.testing.assert_close(losses[0]["discriminator"], discriminator_loss(real, fake), rtol=0, atol=0)
    logits, _ = same.look(same.imagine(same.draw(8, rng), given.labels), given.labels)
    torch.testing.assert_close(losses[1]["generator"], generator_loss(logits), rtol=0, atol=0)


def test_more_information_lowers_both_losses_of_c_infogan():
    """The sign: the losses fall by λ·L_I."""
    given = batch(build("c-infogan"))
    without, with_ = (
        phase_losses(build("c-infogan", lambda_continuous=weight, batch_norm="apart"), given) for weight in (0.0, 1.0)
    )
    model = build("c-infogan")
    rng = generator()
    for phase, player in enumerate(("discriminator", "generator")):
        latents = model.draw(8, rng)
        information = model.look(model.imagine(latents, given.labels), given.labels)[1].continuous(latents).sum()
        if phase == 0:
            model.look(given.images, given.labels)
        torch.testing.assert_close(without[phase][player] - with_[phase][player], information)


@pytest.mark.parametrize("name", ["infogan-original", "c-infogan"])
def test_batch_norm_sees_reals_and_fakes_apart_or_together(name):
    """Apart, running statistics are those of reals alone; together, a real's logit depends on the fakes."""
    statistics, logits = {}, {}
    for batch_norm in ("apart", "together"):
        for scale in (0.0, 1.0):
            model = build(name, batch_norm=batch_norm)
            given = batch(model)
            fakes = scale * torch.rand(8, 1, 16, 16, generator=generator(7))
            real_logits, fake_logits, guess = model.compare(given.images, fakes, given.labels)
            assert len(real_logits) == len(fake_logits) == len(guess.mean) == 8
            logits[batch_norm, scale] = real_logits
            trunk = model.reader if name == "c-infogan" else model.trunk
            statistics[batch_norm, scale] = trunk[3].running_mean.clone()
    for values in (statistics, logits):
        assert torch.equal(values["apart", 0.0], values["apart", 1.0])
        assert not torch.equal(values["together", 0.0], values["together", 1.0])
    norms = [layer for layer in build(name).modules() if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)]
    assert {layer.momentum for layer in norms} == {0.1}


def test_fix_std_fixes_the_width_that_q_predicts():
    assert not build("infogan-original").guess(batch(build("infogan-original")).images).log_std.any()
    free = build("infogan-original", fix_std=False)
    assert free.guess(batch(free).images).log_std.any()


def test_modified_infogans_losses_by_hand():
    model, twin = build("infogan-modified", information_weight=0.7), build("infogan-modified")
    given = batch(model)
    first, second, third = phase_losses(model, given)
    draws = twin.begin(given, generator(), STEP)
    fakes = twin.generator(draws.latents)
    real, features = twin.discriminator(twin.shared(given.images)), twin.shared(fakes)
    nll = -Normal(twin.recognition(features), 1.0).log_prob(draws.codes).sum(dim=1).mean()
    expected = discriminator_loss(real, twin.discriminator(features)) + 0.7 * nll
    torch.testing.assert_close(first["discriminator"], expected)
    expected = generator_loss(twin.discriminator(features)) + 0.7 * nll
    torch.testing.assert_close(second["generator"], expected)
    torch.testing.assert_close(third["generator"], expected)


def test_pairs_share_the_noise_and_exactly_one_code():
    model = build("infogan-cr")
    pairs = model.draw_pairs(500, generator())
    same = pairs.first == pairs.second
    assert same[:, 5:].all(), "the noise"
    assert (same[:, :5].sum(dim=1) == 1).all()
    assert torch.equal(same[:, :5].int().argmax(dim=1), pairs.equal)
    assert torch.equal(pairs.equal.unique(), torch.arange(5))


def test_codes_that_differ_keep_the_gap_until_it_ends():
    model = build("infogan-cr", gap=1.9, gap_steps=10)
    pairs = model.draw_pairs(500, generator())
    apart, after = model.apart(pairs, torch.tensor(10)), model.apart(pairs, torch.tensor(11))
    differ = pairs.first != pairs.second
    assert (apart.first - apart.second).abs()[differ].min() >= 1.9 - 1e-6
    assert torch.cat([apart.first, apart.second]).abs().max() <= 1
    assert torch.equal((apart.first > apart.second)[differ], (pairs.first > pairs.second)[differ])
    assert torch.equal(apart.first[~differ], pairs.first[~differ]), "the equal code and the noise stay"
    assert torch.equal(apart.second[~differ], pairs.first[~differ])
    assert torch.equal(after.first, pairs.first)
    assert torch.equal(after.second, pairs.second)


def test_the_gap_by_hand():
    """Codes (.4, −.8) and (−.2, −.8), one noise: at gap 1 the first are halved, then moved by ±½."""
    model = build("infogan-cr", gap=1.0, gap_steps=1, code_dim=2, noise_dim=1)
    pairs = Pairs(torch.tensor([[0.4, -0.8, 0.3]]), torch.tensor([[-0.2, -0.8, 0.3]]), torch.tensor([1]))
    apart = model.apart(pairs, torch.tensor(1))
    torch.testing.assert_close(apart.first, torch.tensor([[0.7, -0.8, 0.3]]))
    torch.testing.assert_close(apart.second, torch.tensor([[-0.6, -0.8, 0.3]]))


def test_h_starts_anew_at_the_switch_and_after_the_gap():
    assert build("infogan-cr", switch_step=20).events() == {20: ("contrast",)}
    model = build("infogan-cr", switch_step=20, gap=1.9, gap_steps=30, layout="teapot")
    assert model.events() == {20: ("contrast",), 31: ("contrast",)}
    convolution, norm = model.contrast[0][2], model.contrast[0][4]
    before = convolution.weight.clone()
    phase_losses(model, batch(model))
    assert norm.running_mean.any(), "it has seen images"
    model.reset("contrast")
    assert not norm.running_mean.any()
    assert not convolution.weight.equal(before)


def test_the_contrastive_term_by_hand_and_its_switch():
    given = batch(build("infogan-cr"))
    generators, contrast = {}, 0.0
    for alpha in (0.0, 2.0):
        for step in (9, 10):
            model = build("infogan-cr", alpha=alpha, switch_step=10)
            losses = phase_losses(model, given, step=torch.tensor(step))
            generators[alpha, step] = losses[2]["generator"].item()
            contrast = losses[0]["contrast"].item()
    assert generators[0.0, 9] == generators[2.0, 9] == generators[0.0, 10]
    assert generators[2.0, 10] - generators[0.0, 10] == pytest.approx(2 * contrast, rel=1e-3)
    assert contrast == pytest.approx(math.log(5), rel=0.01), "H knows nothing at first"


def test_infogan_cr_without_alpha_is_infogan_modified():
    modified, regularised = build("infogan-modified"), build("infogan-cr", alpha=0.0, switch_step=1)
    given = batch(modified)
    ours = phase_losses(regularised, given)[1:]
    theirs = phase_losses(modified, given)
    for a, b in zip(ours, theirs, strict=True):
        assert {name: loss.item() for name, loss in a.items()} == {name: loss.item() for name, loss in b.items()}


def test_ib_gan_without_noise_in_its_bottleneck_is_infogan():
    """β = 0, no cap, σ → 0: r is a function of z, and the loss is V − I^L of G(μ(z))."""
    model = build("ib-gan", beta=0.0, noise_start=0.0)
    head = model.embedding.layers[-1]
    torch.nn.init.constant_(head.bias[10:], -60.0)  # log σ²
    twin = build("infogan", kl_cap=None, noise_start=0.0)
    twin.load_state_dict(model.state_dict())
    given = batch(model)
    loss = model.losses(given, generator(), STEP)["generator"]
    assert loss.item() == twin.losses(given, generator(), STEP)["generator"].item()
    z = torch.randn(8, 16, generator=generator())
    fresh = build("ib-gan", beta=0.0, noise_start=0.0)
    fakes = fresh.generator(fresh.embedding(z)[0])
    z_hat = fresh.reconstructor(fakes)
    information = (Normal(z_hat, 1.0).log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(dim=1).mean()
    torch.testing.assert_close(loss, generator_loss(fresh.discriminator(fakes)) - information)


@pytest.mark.parametrize(("name", "low", "high"), [("dcgan", -1, 1), ("cgan", 0, 1)])
def test_plain_gans_losses_by_hand(name, low, high):
    quiet = {"instance_noise": 0.0} if name == "cgan" else {}
    model, twin = build(name, **quiet), build(name, **quiet)
    given = batch(model)
    losses = all_losses(model, given)
    samples = twin.begin(given, generator(), STEP)
    extra = (samples.labels, None) if name == "cgan" else ()
    real, fake = twin.discriminator(given.images, *extra), twin.discriminator(samples.fakes, *extra)
    torch.testing.assert_close(losses["discriminator"], discriminator_loss(real, fake))
    torch.testing.assert_close(losses["generator"], generator_loss(fake))
    z_hat = twin.encoder(samples.fakes)
    torch.testing.assert_close(losses["encoder"], 0.5 * (samples.z - z_hat).square().sum(dim=1).mean())
    assert low <= samples.fakes.min() < samples.fakes.max() <= high


def test_dcgans_priors():
    normal, uniform = build("dcgan"), build("dcgan", prior="uniform")
    assert normal.sample_codes(10_000, generator()).std().item() == pytest.approx(1, rel=0.02)
    z = uniform.sample_codes(10_000, generator())
    assert z.std().item() == pytest.approx(3**-0.5, rel=0.02)
    assert z.abs().max() <= 1


def test_maxout_takes_the_largest_piece():
    layer = Maxout(1, 2, 3)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1], [0], [2], [-2], [0]]))
        layer.linear.bias.copy_(torch.tensor([0.0, 0, 0.5, 0, 0, -1]))
    torch.testing.assert_close(layer(torch.tensor([[3.0], [-0.1]])), torch.tensor([[3.0, 6.0], [0.5, 0.2]]))


def test_dropout_draws_from_the_passed_generator_and_keeps_the_mean():
    layer, units = Dropout(0.25), torch.ones(1000, 10)
    state = torch.get_rng_state()
    dropped = layer(units, generator())
    assert torch.equal(dropped, layer(units, generator()))
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(dropped.unique(), torch.tensor([0, 4 / 3]))
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(layer.eval()(units, None), units)


# Who moves what


@pytest.mark.parametrize("name", [*GANS, "ib-gan"])
def test_every_parameter_belongs_to_exactly_one_player(name):
    model = build(name)
    owned = [id(p) for player in model.players().values() for p in player.parameters]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "changes"),
    [*((name, {}) for name in GANS), ("cgan", {"dropout": 0.5}), ("infogan-original", {"fix_std": False})],
)
def test_every_player_moves_all_of_its_parameters(name, changes):
    model = build(name, **changes)
    losses = all_losses(model, batch(model))
    for player_name, player in model.players().items():
        for gradient in torch.autograd.grad(losses[player_name], player.parameters, retain_graph=True):
            assert gradient.abs().sum() > 0


MOVES = {  # player: what its loss depends on; the player's own parameters are a part of that
    "dcgan": {"discriminator": "discriminator", "generator": "generator discriminator", "encoder": "encoder"},
    "cgan": {"discriminator": "discriminator", "generator": "generator discriminator", "encoder": "encoder"},
    "infogan-original": {
        "discriminator": "trunk discriminator recognition",
        "generator": "generator trunk discriminator recognition",
    },
    "c-infogan": {
        "discriminator": "trunk discriminator recognition reader",
        "generator": "generator trunk discriminator recognition reader",
    },
    "infogan-modified": {
        "discriminator": "shared discriminator recognition",
        "generator": "generator shared discriminator recognition",
    },
    "infogan-cr": {
        "discriminator": "shared discriminator recognition",
        "generator": "generator shared discriminator recognition contrast",
        "contrast": "contrast",
    },
}


@pytest.mark.parametrize("name", GANS)
def test_each_loss_depends_on_exactly_these_networks(name):
    model = build(name, **({"switch_step": 1} if name == "infogan-cr" else {}))
    losses = all_losses(model, batch(model))
    parameters = dict(model.named_parameters())
    found = {}
    for player, loss in losses.items():
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        touched = {n.split(".")[0] for n, g in zip(parameters, gradients, strict=True) if g is not None}
        found[player] = touched
    assert found == {player: set(names.split()) for player, names in MOVES[name].items()}


@pytest.mark.parametrize(
    ("name", "networks"),
    [
        ("infogan-original", "trunk discriminator recognition"),
        ("c-infogan", "trunk discriminator recognition reader"),
        ("infogan-modified", "shared discriminator recognition"),
    ],
)
def test_q_belongs_to_the_discriminators_optimiser(name, networks):
    model = build(name)
    owned = {id(p) for p in model.players()["discriminator"].parameters}
    assert owned == {id(p) for part in networks.split() for p in getattr(model, part).parameters()}


# Codes, images, draws


@pytest.mark.parametrize("side", [16, 32])
@pytest.mark.parametrize("name", GANS)
def test_images_and_codes_have_their_shapes(name, side):
    model = build(name, shape=(1, side, side)).eval()
    codes = model.sample_codes(3, generator())
    images = model.generate(codes)
    low, high = model.image_range
    assert images.shape == (3, 1, side, side)
    assert low <= images.min() <= images.max() <= high
    assert model.encode(images).shape == codes.shape
    assert torch.equal(model.encode(images), model.encode(images))
    assert torch.equal(model.generate(codes), images)


@pytest.mark.parametrize("name", ["cgan", "infogan-original", "c-infogan", "infogan-cr", "dcgan"])
def test_digits_of_8_and_28_fit(name):
    for side in (8, 28):
        model = build(name, shape=(1, side, side)).eval()
        assert model.generate(model.sample_codes(2, generator())).shape == (2, 1, side, side)


@pytest.mark.parametrize("name", GANS)
def test_draws_come_from_the_passed_generator_alone(name):
    model, state = build(name), torch.get_rng_state()
    first = all_losses(model, batch(model), seed=3)
    model.eval()
    model.diagnostics(batch(model), generator(3), STEP)
    model.sample_codes(2, generator())
    assert torch.equal(torch.get_rng_state(), state)
    second = all_losses(build(name), batch(model), seed=3)
    assert {k: v.item() for k, v in first.items()} == {k: v.item() for k, v in second.items()}


@pytest.mark.parametrize("name", GANS)
def test_diagnostics_hold_a_bound_for_each_code_and_their_sum(name):
    model = build(name).eval()
    with torch.no_grad():
        curves = model.diagnostics(batch(model), generator(), STEP)
    bounds = [value for key, value in curves.items() if key.startswith("information_") and key != "information_lower"]
    torch.testing.assert_close(torch.stack(bounds).sum(), curves["information_lower"])
    codes = {"infogan-original": 6}.get(name, model.sample_codes(2, generator()).shape[1])  # 3 columns are one code
    assert len(bounds) == codes
    assert all(math.isfinite(value) for value in curves.values())


def test_the_original_infogan_shows_its_continuous_information_with_both_entropies():
    model = build("infogan-original").eval()
    with torch.no_grad():
        curves = model.diagnostics(batch(model), generator(), STEP)
    for i in range(5):
        gap = curves[f"coded_continuous_{i}"] - curves[f"true_continuous_{i}"]
        # −E log N(c; 0, 1) = ½ log 2π + ½E c², with E c² = 1/3, against ln 2
        assert gap.item() == pytest.approx(0.5 * math.log(2 * math.pi) + 1 / 6 - math.log(2), abs=0.02)


def test_categorical_codes_as_probabilities_or_as_a_value():
    soft, whole = build("infogan-original").eval(), build("infogan-original", encode_as="argmax").eval()
    images = batch(soft).images
    probabilities, values = soft.encode(images), whole.encode(images)
    assert probabilities.shape == (8, 3 + 5)
    assert values.shape == (8, 1 + 5)
    torch.testing.assert_close(probabilities[:, :3].sum(dim=1), torch.ones(8))
    assert torch.equal(values[:, 0].long(), probabilities[:, :3].argmax(dim=1))
    assert torch.equal(values[:, 1:], probabilities[:, 3:])
    codes = torch.cat([torch.eye(3), torch.zeros(3, 5)], dim=1)
    as_values = torch.cat([torch.tensor([[-0.4], [1.2], [7.0]]), torch.zeros(3, 5)], dim=1)
    assert torch.equal(soft.generate(codes), whole.generate(as_values))
    assert set(whole.sample_codes(100, generator())[:, 0].tolist()) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("name", ["cgan", "c-infogan"])
def test_labels_reach_the_generator_and_the_discriminator(name):
    model = build(name)
    for _, parameter in sorted(model.named_parameters()):
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    given = batch(model)
    other = Batch(given.images, (given.labels + 1) % CLASSES)
    a, b = all_losses(model, given), all_losses(model, other)
    assert a["discriminator"].item() != b["discriminator"].item()
    model.eval()
    codes = model.sample_codes(3, generator())
    made = [model.generate_class(codes, torch.full((3,), y)) for y in range(CLASSES)]
    assert torch.equal(model.generate(codes), made[0])
    assert not torch.equal(made[0], made[1])


def test_conditional_infogans_q_sees_no_label():
    model = build("c-infogan").eval()
    images = batch(model).images
    guesses = [model.look(images, torch.full((8,), y))[1].mean for y in range(CLASSES)]
    assert torch.equal(guesses[0], guesses[1])
    assert torch.equal(guesses[0], model.encode(images))


def test_resetting_h_leaves_everything_else_as_it_was():
    model = build("infogan-cr")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    model.reset("contrast")
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"contrast"}
    drawn = {name for name in before if name.startswith("contrast") and not name.endswith(("bias", ".u"))}
    assert drawn == changed, "spectral norm's vectors stay"
