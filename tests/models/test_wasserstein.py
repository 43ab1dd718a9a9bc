"""The Wasserstein GANs: published counts, the penalty and its gradient, loss terms, quantisation, who moves what."""

import math

import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.models import wasserstein
from disentangle_bench.models.adversarial import gradient_penalty
from disentangle_bench.models.base import Batch, Model, count_parameters
from disentangle_bench.models.quantised_networks import Quantised, Quantiser
from disentangle_bench.training.step import StepState
from disentangle_bench.training.trainer import build_model

GANS = ["wgan-gp", "infowgan-gp", "qlinfowgan-gp"]
SHAPE = (1, 16, 16)
STEP = torch.tensor(1)


def build(name: str, configuration: str = "small", shape=SHAPE, **changes) -> Model:
    cls = registry.get("model", name)
    config = cls.Config.model_validate(cls.configurations[configuration].model_dump() | changes)
    return build_model(cls, config, shape, 0, 0).train()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 20) -> Batch:
    return Batch(torch.rand(count, *SHAPE, generator=generator(1)))


def state(model: Model, count: int = 20) -> StepState:
    """A step's state; `advance` is given its batch."""
    players = model.players()
    optimisers = {name: player.optimiser(player.parameters) for name, player in players.items()}
    return StepState(model, None, players, optimisers, count, generator())


def gradients(model: Model, loss: torch.Tensor, player: str) -> dict[str, bool]:
    """Whether each of a player's parameters gets a gradient that isn't all zeros, by name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    parameters = model.players()[player].parameters
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    pairs = zip(parameters, found, strict=True)
    return {names[id(parameter)]: gradient is not None and bool(gradient.any()) for parameter, gradient in pairs}


# What the authors' code has

COUNTS = {"trunk": 3_681_440, "critic": 257, "generator": 3_963_040 + 4_096}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("wgan-gp", COUNTS | {"encoder": 3_681_440 + 3_084}),
        ("infowgan-gp", COUNTS | {"recognition": 3_084}),
        ("qlinfowgan-gp", COUNTS | {"recognition": 3_084, "quantiser": 120}),
    ],
)
def test_published_parameter_counts(name, counts):
    cls = registry.get("model", name)
    with torch.device("meta"):
        model = cls(cls.configurations["shapes3d"], (3, 64, 64))
    assert {part: count_parameters(getattr(model, part)) for part in counts} == counts


@pytest.mark.parametrize("name", GANS)
def test_published_settings(name):
    known = registry.get("model", name).configurations
    c = known["shapes3d"]
    assert (c.steps * 5, c.batch_size // 5, c.penalty, c.lr, c.clip) == (200_000, 64, 10, 2e-4, 1)
    assert {dataset: known[dataset].latents for dataset in ("shapes3d", "mpi3d-complex", "falcor3d")} == {
        "shapes3d": 12, "mpi3d-complex": 14, "falcor3d": 14,
    }  # fmt: skip
    groups = next(iter(build(name).players().values())).optimiser([]).param_groups
    assert {group["betas"] for group in groups} == {(0.0, 0.9)}


def test_the_base_gan_decays_no_weight():
    assert {c.weight_decay for c in registry.get("model", "wgan-gp").configurations.values()} == {0}


def test_the_information_models_decay_and_weight():
    known = registry.get("model", "infowgan-gp").configurations
    assert {(c.weight_decay, c.latent_weight) for c in known.values()} == {(1e-4, 200)}
    known = registry.get("model", "qlinfowgan-gp").configurations
    c = known["shapes3d"]
    assert (c.values, c.latent_weight, c.quantisation_weight, c.commitment_weight) == (10, 200, 0.01, 0.01)
    assert [known[name].weight_decay for name in ("shapes3d", "mpi3d-complex", "falcor3d")] == [1e-3, 1e-3, 1e-4]


def test_a_style_block_by_hand():
    """Leaky ReLU comes before the norm, ReLU over scale and shift; a generator's input map is 0.1 at first."""
    model = build("wgan-gp")
    assert (model.generator.input_map == 0.1).all()
    block, x, w = model.generator.blocks[0], torch.randn(2, 16, 4, 4), torch.randn(2, 64)
    y = torch.nn.functional.conv_transpose2d(x, block.convolution.weight, stride=2, padding=1)
    y = torch.where(y > 0, y, 0.2 * y)
    y = (y - y.mean(dim=(2, 3), keepdim=True)) / (y.var(dim=(2, 3), keepdim=True, unbiased=False) + 1e-6).sqrt()
    linear = block.style[0]
    scale, shift = (w @ linear.weight.T + linear.bias).relu().split(16, dim=1)
    torch.testing.assert_close(block(x, w), y * scale[:, :, None, None] + shift[:, :, None, None])


# The penalty


def test_the_penalty_of_critics_whose_slope_is_known():
    """∇(w·x) = w everywhere, of norm 5; ∇½‖x‖² = x̃, an image's own mixture of its real and its fake."""
    reals, fakes = torch.rand(6, *SHAPE, generator=generator(1)), torch.rand(6, *SHAPE, generator=generator(2))
    w = torch.full(SHAPE, 5 / 16)
    assert gradient_penalty(lambda x: (x * w).sum(dim=(1, 2, 3)), reals, fakes, generator()).item() == pytest.approx(16)
    epsilon = torch.rand(6, 1, 1, 1, generator=generator())
    between = epsilon * reals + (1 - epsilon) * fakes
    expected = sum((math.sqrt(image.square().sum()) - 1) ** 2 for image in between) / 6
    found = gradient_penalty(lambda x: 0.5 * x.square().sum(dim=(1, 2, 3)), reals, fakes, generator())
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", GANS)
def test_the_penaltys_gradient_is_that_of_finite_differences(name):
    """The double backward through convolutions, instance norm, leaky ReLU and the norm, at every layer."""
    model = build(name).double()
    reals, fakes = (torch.rand(3, *SHAPE, generator=generator(seed)).double() for seed in (1, 2))

    def penalty() -> torch.Tensor:
        return gradient_penalty(model.value, reals, fakes, generator())

    parameters = {f"trunk.{name}": p for name, p in model.trunk.named_parameters()} | {"critic": model.critic.weight}
    found = torch.autograd.grad(penalty(), parameters.values(), allow_unused=True)
    for (where, parameter), gradient in zip(parameters.items(), found, strict=True):
        direction = torch.randn(parameter.shape, generator=generator(3)).double()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * 1e-6 * direction
            values.append(penalty().item())
            with torch.no_grad():
                parameter -= sign * 1e-6 * direction
        slope = (values[0] - values[1]) / 2e-6
        expected = 0.0 if gradient is None else (gradient * direction).sum().item()
        assert slope == pytest.approx(expected, rel=1e-5, abs=1e-7), where


def test_no_gradient_of_the_penalty_reaches_the_fakes():
    fakes = torch.rand(4, *SHAPE).requires_grad_()
    w = torch.rand(SHAPE, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x * w).square().sum(dim=(1, 2, 3)), torch.rand(4, *SHAPE), fakes, generator())
    assert torch.autograd.grad(penalty, [w, fakes], allow_unused=True)[1] is None


# Losses


@pytest.mark.parametrize("name", GANS)
def test_both_losses_by_hand(name):
    """Of one update of the critic and one of G, whose draws are, in this order: z, ε; z."""
    model, given = build(name), batch()
    rng, by_hand = generator(), generator()
    shared = model.begin(given, rng, STEP)
    critic = model.critic_losses(shared, rng, STEP)["critic"]
    g = model.generator_losses(shared, rng, STEP)["generator"]

    z = model.sample_codes(4, by_hand)
    fakes, reals = model.generator(z).sigmoid(), given.images[:4]
    fake, real = (model.critic(model.trunk(images)).mean() for images in (fakes, reals))
    penalty = gradient_penalty(lambda x: model.critic(model.trunk(x)), reals, fakes, by_hand)
    terms = model.latent_terms(z, model.trunk(fakes))
    assert critic.item() == pytest.approx((fake - real + 10 * penalty + terms).item(), rel=1e-5)
    z = model.sample_codes(16, by_hand)  # a fifth of 80
    features = model.trunk(model.generator(z).sigmoid())
    assert g.item() == pytest.approx(
        (-model.critic(features).mean() + model.latent_terms(z, features)).item(), rel=1e-5
    )


@pytest.mark.parametrize("name", GANS)
def test_each_update_of_the_critic_sees_other_images(name, monkeypatch):
    model, given, seen = build(name), batch(), []

    def penalty(critic, reals, fakes, rng):
        seen.append(reals)
        return gradient_penalty(critic, reals, fakes, rng)

    monkeypatch.setattr(wasserstein, "gradient_penalty", penalty)
    state(model).advance(given)
    assert [len(reals) for reals in seen] == [4] * 5
    assert torch.equal(torch.cat(seen), given.images)


@pytest.mark.parametrize("name", GANS)
def test_every_player_moves_all_of_its_parameters_and_no_others(name):
    model = build(name)
    owners = [id(parameter) for player in model.players().values() for parameter in player.parameters]
    assert sorted(owners) == sorted(id(parameter) for parameter in model.parameters())
    idle = {"critic.bias"}  # c + a constant is the same critic
    shared = model.begin(batch(), generator(), STEP)
    losses = model.critic_losses(shared, generator(), STEP) | model.generator_losses(shared, generator(), STEP)
    for player, loss in losses.items():
        found = gradients(model, loss, player)
        assert [where for where, moves in found.items() if not moves] == [name for name in found if name in idle]
    for player in {"generator", "encoder"} & set(losses):
        moved = {where for where, moves in gradients(model, losses["critic"], player).items() if moves}
        assert moved <= {"quantiser.values"}  # in a term of L_c; G's loss alone moves them


def test_the_latent_loss_by_hand():
    """200 times the mean over latents and images of (ẑ − z)²; a critic that is told nothing is WGAN-GP's."""
    model = build("infowgan-gp", latents=2)
    with torch.no_grad():
        model.recognition.weight.zero_()
        model.recognition.bias.copy_(torch.tensor([0.5, 0.25]))
    z = torch.tensor([[0.5, 0.75], [0.0, 0.25]])
    assert model.latent_terms(z, torch.zeros(2, 64)).item() == pytest.approx(200 * (0 + 0.25 + 0.25 + 0) / 4)
    free, plain = build("infowgan-gp", latent_weight=0.0), build("wgan-gp")
    plain.load_state_dict(free.state_dict(), strict=False)
    free, plain = (
        each.critic_losses(each.begin(batch(), generator(), STEP), generator(), STEP) for each in (free, plain)
    )
    assert free["critic"].item() == plain["critic"].item()


def test_quantisation_by_hand():
    """Values −½, 0, ½: 0.2 becomes 0 and −0.4 −½; ẑ's gradient passes the quantiser, and the values have their own."""
    quantiser = Quantiser(2, 3)
    assert quantiser.values.tolist() == [[-0.5, 0, 0.5]] * 2
    z_hat = torch.tensor([[0.2, -0.4]], requires_grad=True)
    done = Quantised(z_hat, quantiser(z_hat))
    assert done.quantised.tolist() == done.through.tolist() == [[0, -0.5]]
    assert done.quantisation.item() == done.commitment.item() == pytest.approx((0.04 + 0.01) / 2)
    weights = torch.tensor([[3.0, 5.0]])

    def slopes(loss: torch.Tensor) -> list[list[list[float]] | None]:
        found = torch.autograd.grad(loss, [z_hat, quantiser.values], retain_graph=True, allow_unused=True)
        return [
            None if gradient is None else [[round(x, 6) for x in row] for row in gradient.tolist()]
            for gradient in found
        ]

    assert slopes((weights * done.through).sum()) == [[[3, 5]], None]
    assert slopes(done.quantisation) == [None, [[0, -0.2, 0], [-0.1, 0, 0]]]  # (q − ẑ), of two latents
    assert slopes(done.commitment) == [[[0.2, 0.1]], None]


def test_each_latents_prior_is_uniform_over_its_own_values():
    quantiser = Quantiser(2, 4)
    with torch.no_grad():
        quantiser.values += torch.tensor([[0.0], [10.0]])
    drawn = quantiser.sample(4_000, generator())
    for latent, values in zip(drawn.T, quantiser.values, strict=True):
        found, counts = latent.unique(return_counts=True)
        assert torch.equal(found, values)
        assert counts.min() > 900


@pytest.mark.parametrize("name", ["qlinfowgan-gp", "qlae"])
def test_codes_that_are_drawn_for_traversals_are_numbers_alone(name):
    """The values' gradient is for training; codes go on to numpy."""
    assert not build(name).sample_codes(3, generator()).requires_grad


def test_a_code_is_one_of_its_latents_values():
    model = build("qlinfowgan-gp").eval()
    codes = model.encode(batch().images)
    assert (codes[:, :, None] == model.quantiser.values).any(dim=2).all()


def test_the_generator_moves_the_values_and_the_critic_does_not():
    """They are what G is given, so that its loss reaches them through its images."""
    model = build("qlinfowgan-gp", quantisation_weight=0.0)
    shared = model.begin(batch(), generator(), STEP)
    critic, g = model.critic_losses(shared, generator(), STEP), model.generator_losses(shared, generator(), STEP)
    assert not gradients(model, critic["critic"], "generator")["quantiser.values"]
    assert gradients(model, g["generator"], "generator")["quantiser.values"]
    optimiser = model.players()["generator"].optimiser(model.players()["generator"].parameters)
    free = next(group for group in optimiser.param_groups if group["clip"] is None)
    assert any(parameter is model.quantiser.values for parameter in free["params"])
    assert free["weight_decay"] == 0


def test_the_post_hoc_encoder_never_influences_the_generator():
    model = build("wgan-gp")
    losses = model.generator_losses(model.begin(batch(), generator(), STEP), generator(), STEP)
    assert not any(gradients(model, losses["encoder"], "generator").values())
    assert not any(gradients(model, losses["generator"], "encoder").values())
    z, fakes = model.fakes(generator())
    assert losses["encoder"].item() == pytest.approx((model.encoder(fakes) - z).square().mean().item(), rel=1e-5)


# The optimiser


@pytest.mark.parametrize("name", GANS)
def test_weights_are_clipped_and_decayed_biases_are_neither(name):
    """Adam's first step is lr·g/(|g| + 1e-8) but for tiny gradients, where a bound would show."""
    model = build(name, weight_decay=0.5, clip=1e-8, lr=0.1)
    player = model.players()["critic"]
    optimiser = player.optimiser(player.parameters)
    weight, bias, scale = model.critic.weight, model.critic.bias, model.trunk[1].weight
    before = {id(p): p.detach().clone() for p in player.parameters}
    for parameter in player.parameters:
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    halved = 0.1 * 0.5  # a gradient of 1e-8 moves Adam by half its rate
    torch.testing.assert_close(weight.detach(), before[id(weight)] * (1 - 0.1 * 0.5) - halved)
    torch.testing.assert_close(scale.detach(), before[id(scale)] * (1 - 0.1 * 0.5) - halved)
    torch.testing.assert_close(bias.detach(), before[id(bias)] - 0.1)
