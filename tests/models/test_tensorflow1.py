"""TensorFlow 1's arithmetic, each detail by hand; what they come to together is in test_equations.py."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from disentangle_bench.models import tensorflow1
from disentangle_bench.models.base import Batch, Model
from disentangle_bench.models.tensorflow1 import LeakyReLU
from disentangle_bench.training.step import StepState
from tests.models.test_gan import batch, build, generator, phase_losses

TRAINED = ["infogan-modified", "infogan-cr"]


def stepped(model: Model, given: Batch, step: int) -> Model:
    """The model after one step, with that number, on this batch."""
    players = model.players()
    optimisers = {name: player.optimiser(player.parameters) for name, player in players.items()}
    state = StepState(model, None, players, optimisers, len(given.images), generator())
    state.number.fill_(step)
    state.advance(given)
    return model


# Leaky ReLU


def test_leaky_relus_slope_is_1_at_exactly_0():
    x = torch.tensor([-3.0, -1e-20, -0.0, 0.0, 1e-20, 3.0], requires_grad=True)
    y = LeakyReLU(0.2)(x)
    [slope] = torch.autograd.grad(y.sum(), x)
    assert slope.tolist() == pytest.approx([0.2, 0.2, 1, 1, 1, 1])
    assert y.tolist() == pytest.approx([-0.6, -2e-21, 0, 0, 1e-20, 3], rel=1e-6, abs=1e-29)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_leaky_relu_changes_no_other_value_than_torchs(dtype):
    x = torch.randn(10_000, generator=generator()).to(dtype)
    assert torch.equal(LeakyReLU(0.2)(x), nn.functional.leaky_relu(x, 0.2))


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("layout", ["dsprites", "teapot", "celeba"])
def test_all_leaky_relus_of_these_models_are_tensorflows(name, layout):
    layers = list(build(name, layout=layout).modules())
    assert any(isinstance(layer, LeakyReLU) for layer in layers)
    assert not any(isinstance(layer, nn.LeakyReLU) for layer in layers)


# Spectral norm


def test_spectral_norm_by_hand():
    """W = diag(3, 4) and u = (1, 1): v = (3, 4)/5, u' = n(9, 16) = (9, 16)/√337, σ = v W u'ᵀ = √337/5."""
    norm = tensorflow1.SpectralNorm(torch.zeros(2, 2))
    norm.u.copy_(torch.tensor([[1.0, 1.0]]))
    weight = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    v, u = norm.vectors(weight)
    assert v.flatten().tolist() == pytest.approx([0.6, 0.8])
    assert u.flatten().tolist() == pytest.approx([9 / math.sqrt(337), 16 / math.sqrt(337)])
    torch.testing.assert_close(norm(weight), weight * 5 / math.sqrt(337))


def test_spectral_norm_is_differentiated_through_its_vectors():
    """∂/∂W of Σ A∘W/σ(W) by differences, in float64; with v and u' constant it differs by more than a tenth."""
    rng = np.random.default_rng(0)
    w, a, u = rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), rng.normal(size=(1, 3))

    def value(w: np.ndarray) -> float:
        v = u @ w
        v = v / (np.linalg.norm(v) + 1e-12)
        after = v @ w.T
        after = after / (np.linalg.norm(after) + 1e-12)
        return float((a * w).sum() / (v @ w.T @ after.T).item())

    differences = np.zeros_like(w)
    for place in np.ndindex(*w.shape):
        step = np.zeros_like(w)
        step[place] = 1e-6
        differences[place] = (value(w + step) - value(w - step)) / 2e-6
    weight = torch.tensor(w, requires_grad=True)
    norm = tensorflow1.SpectralNorm(weight.detach())
    norm.u.copy_(torch.tensor(u))
    [gradient] = torch.autograd.grad((torch.tensor(a) * norm(weight)).sum(), weight)
    np.testing.assert_allclose(gradient.numpy(), differences, rtol=1e-6, atol=1e-8)
    v, after = (vector.detach() for vector in norm.vectors(weight))
    sigma = (v @ weight.T @ after.T).squeeze()
    [constant] = torch.autograd.grad((torch.tensor(a) * weight / sigma).sum(), weight)
    assert np.abs(constant.numpy() - differences).max() > 0.1 * np.abs(differences).max()


@pytest.mark.parametrize("name", TRAINED)
def test_the_vectors_move_once_a_step_with_the_weights_that_it_leaves(name):
    """Neither forward passes nor modes move them; a step's vectors are one iteration, of its last weights."""
    model = build(name)
    given = batch(model)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.utils.parametrize.ParametrizationList)]
    assert len(layers) == {"infogan-modified": 6, "infogan-cr": 9}[name]
    before = [layer[0].u.clone() for layer in layers]
    phase_losses(model, given)
    trained = model.shared(given.images)
    assert torch.equal(model.eval().shared(given.images), trained)
    assert all(torch.equal(layer[0].u, u) for layer, u in zip(layers, before, strict=True))
    stepped(model.train(), given, 1)
    for layer, u in zip(layers, before, strict=True):
        w = layer.original.detach().flatten(1)  # (outputs, inputs)
        v = nn.functional.normalize(u @ w)
        torch.testing.assert_close(layer[0].u, nn.functional.normalize(v @ w.T))


def test_the_first_vectors_are_normal_within_two_deviations():
    norm = tensorflow1.SpectralNorm(torch.zeros(20_000, 1))
    assert norm.u.abs().max() <= 2
    assert norm.u.std().item() == pytest.approx(0.880, abs=0.02)


# Adam


def test_adams_epsilon_lies_outside_of_the_bias_correction():
    """g = 1e-7 twice, β = .5, .999: m = .5e-7 and .75e-7, v = 1e-17 and 1.999e-17, √v beside ε = 1e-8."""
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    adam = tensorflow1.Adam([weight], lr=1.0, betas=(0.5, 0.999))
    moved = 0.0
    for t, m, v in ((1, 0.5e-7, 1e-17), (2, 0.75e-7, 1.999e-17)):
        weight.grad = torch.full((1,), 1e-7, dtype=torch.float64)
        adam.step()
        moved -= math.sqrt(1 - 0.999**t) / (1 - 0.5**t) * m / (math.sqrt(v) + 1e-8)
        assert weight.item() == pytest.approx(moved, rel=1e-12)
    torchs = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    torchs.grad = torch.full((1,), 1e-7, dtype=torch.float64)
    torch.optim.Adam([torchs], lr=1.0, betas=(0.5, 0.999)).step()
    assert torchs.item() == pytest.approx(-1 / 1.1), "where this one's first move is a quarter as far"


def test_adam_is_torchs_where_epsilon_is_nothing_and_goes_on_from_its_state():
    ours, theirs = (nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    adam = tensorflow1.Adam(ours.parameters(), lr=1e-2, betas=(0.5, 0.999))
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2, betas=(0.5, 0.999))
    for step in range(6):
        for network, optimiser in ((ours, adam), (theirs, reference)):
            optimiser.zero_grad()
            network(torch.randn(4, 3, generator=generator(step))).square().sum().backward()
            optimiser.step()
        if step == 2:
            state = adam.state_dict()
            adam = tensorflow1.Adam(ours.parameters(), lr=1e-2, betas=(0.5, 0.999))
            adam.load_state_dict(state)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_each_player_of_these_models_has_this_adam(name):
    for player in build(name).players().values():
        optimiser = player.optimiser(player.parameters)
        assert isinstance(optimiser, tensorflow1.Adam)
        assert optimiser.param_groups[0]["betas"] == (0.5, 0.999)


# The floor


def test_probabilities_have_a_floor():
    """D certain at ±40, where sigmoid is 4e-18: −log 1e-8 each, and next to no gradient; softplus gives 40 and 1."""
    real, fake = torch.tensor([[-40.0]], requires_grad=True), torch.tensor([[40.0]], requires_grad=True)
    loss = tensorflow1.discriminator_loss(real, fake)
    assert loss.item() == pytest.approx(2 * -math.log(1e-8))
    assert all(gradient.abs() < 1e-8 for gradient in torch.autograd.grad(loss, (real, fake)))
    at_the_floor = torch.tensor([[math.log(1e-8)]], dtype=torch.float64, requires_grad=True)  # D(x̂) = 1e-8
    [slope] = torch.autograd.grad(tensorflow1.generator_loss(at_the_floor), at_the_floor)
    assert slope.item() == pytest.approx(-0.5)
    model = build("infogan-modified")
    with torch.no_grad():
        model.discriminator.bias.fill_(-100.0)
    losses = phase_losses(model, batch(model))
    nll = [model.config.information_weight * model.config.code_dim * 0.5 * math.log(2 * math.pi)] * 2
    assert losses[0]["discriminator"].item() == pytest.approx(-math.log(1e-8) + nll[0], abs=0.5)
    assert losses[1]["generator"].item() == pytest.approx(-math.log(1e-8) + nll[1], abs=0.5)


# Pairs before the switch


def test_pairs_leave_gs_moving_averages_alone_until_the_switch():
    """Three updates a step until then, as InfoGAN (modified)'s, and nine from then on: .9³ and .9⁹ are left."""
    given = batch(build("infogan-cr"))
    before = stepped(build("infogan-cr", switch_step=2), given, 1)
    after = stepped(build("infogan-cr", switch_step=1), given, 1)
    modified = stepped(build("infogan-modified"), given, 1)
    norms = [model.generator[2] for model in (before, after)]
    assert torch.equal(norms[0].running_mean, modified.generator[2].running_mean)
    for name, value in modified.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(before.state_dict()[name], value), f"{name}: D and G are untouched too"
    ones = [norm.running_var.mean().item() for norm in norms]  # from 1 to a variance of next to nothing
    assert ones == pytest.approx([0.9**3, 0.9**9], abs=0.01)


@pytest.mark.parametrize(("step", "training"), [(9, False), (10, True)])
def test_h_learns_from_images_in_test_mode_until_the_switch(step, training):
    model, twin = build("infogan-cr", switch_step=10), build("infogan-cr", switch_step=10)
    for each in (model, twin):
        each.generator[2].running_mean.fill_(0.5)
    seen = []
    model.contrast.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    given, now = batch(model), torch.tensor(step)
    phase_losses(model, given, step=now)
    pairs = twin.begin(given, generator(), now).pairs
    twin.generator.train(training)
    torch.testing.assert_close(seen[0], twin.paired(pairs, now), rtol=0, atol=0)
    assert model.generator.training, "and G goes on as it was"
