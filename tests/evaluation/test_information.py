"""Information in nats where it is known in closed form: MINE, and the bounds that models report."""

import math

import pytest
import torch

from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.information import code_information, mutual_information
from disentangle_bench.models.adversarial import gaussian_information
from disentangle_bench.models.ib_gan_framework import Round
from disentangle_bench.models.infogan_networks import Guess, Latents

HALF_LOG_2PI_E = 0.5 * math.log(2 * math.pi * math.e)


def gaussians(correlation: float, width: int, count: int = 20_000) -> tuple[torch.Tensor, torch.Tensor, float]:
    """x and y (count, width), standard normal and correlated pair by pair; and I(X; Y) = −w/2 · log(1 − ρ²)."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(count, width, generator=rng)
    y = correlation * x + math.sqrt(1 - correlation**2) * torch.randn(count, width, generator=rng)
    return x, y, -width / 2 * math.log(1 - correlation**2)


@pytest.mark.parametrize(("correlation", "width"), [(0.9, 1), (0.9, 3), (0.5, 2)])
def test_mine_of_correlated_gaussians(correlation, width):
    x, y, true = gaussians(correlation, width)
    found = mutual_information(x, y, torch.Generator().manual_seed(1))
    assert found == pytest.approx(true, rel=0.05)


def test_mine_of_what_has_nothing_to_do_with_another():
    x, y, _ = gaussians(0.0, 3)
    assert mutual_information(x, y, torch.Generator().manual_seed(1), steps=500) < 0.01
    assert mutual_information(x, torch.ones(len(x), 2), torch.Generator().manual_seed(1), steps=100) < 0.01


def test_mine_repeats_and_leaves_the_global_generator_alone():
    x, y, _ = gaussians(0.7, 1, count=1_000)
    state = torch.get_rng_state()
    first, again = (mutual_information(x, y, torch.Generator().manual_seed(2), steps=50) for _ in range(2))
    assert first == again
    assert torch.equal(torch.get_rng_state(), state)


def test_mine_takes_rows_that_belong_together():
    with pytest.raises(UserError, match="the same rows, at least 4; they have 5 and 6"):
        mutual_information(torch.zeros(5, 1), torch.zeros(6, 1), torch.Generator())


def test_the_lower_bound_of_a_gaussian_guess_is_tight_for_gaussians():
    """E(x|y) = ρy leaves 1 − ρ² of the variance, so H(x) − H(x|y) is all of the information."""
    x, y, true = gaussians(0.9, 4)
    bound = gaussian_information(HALF_LOG_2PI_E, x, 0.9 * y)
    assert bound.sum().item() == pytest.approx(true, rel=0.05)
    worse = gaussian_information(HALF_LOG_2PI_E, x, 0.5 * y)
    assert (worse < bound).all()


def test_the_lower_bound_of_a_categorical_guess_is_tight_for_the_true_posterior():
    """A code of 4 values read rightly with probability 0.85, else one of the other three alike."""
    rng = torch.Generator().manual_seed(0)
    right, values = 0.85, torch.randint(4, (20_000,), generator=rng)
    wrong = torch.rand(20_000, generator=rng) > right
    read = torch.where(wrong, (values + torch.randint(1, 4, (20_000,), generator=rng)) % 4, values)
    table = torch.full((4, 4), (1 - right) / 3).fill_diagonal_(right)
    nothing = torch.zeros(20_000, 0)
    guess = Guess([table.log()[read]], nothing, nothing)
    (bound,) = guess.categorical(Latents(nothing, [values], nothing))
    true = math.log(4) + right * math.log(right) + (1 - right) * math.log((1 - right) / 3)
    assert bound.item() == pytest.approx(true, rel=0.05)
    hot = torch.eye(4)
    assert mutual_information(hot[values], hot[read], rng) == pytest.approx(true, rel=0.05)


def test_the_upper_bound_is_tight_where_the_bottleneck_has_its_prior():
    """r = a·z + √(1 − a²)·ε is N(0, I), so E KL(e(r|z) ‖ N(0, I)) is I(z; r) = −D/2 · log(1 − a²) itself."""
    a, rng = 0.8, torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 3, generator=rng)
    variance = torch.full_like(z, 1 - a**2)
    empty = torch.zeros(1, 1)
    round = Round(z, a * z, variance.log(), z, empty, empty)
    true = -1.5 * math.log(1 - a**2)
    assert round.information_upper.item() == pytest.approx(true, rel=0.05)
    r = a * z + variance.sqrt() * torch.randn(z.shape, generator=rng)
    assert mutual_information(z, r, rng) == pytest.approx(true, rel=0.05)


def test_the_lower_bound_stays_below_what_there_is_and_mine_between():
    """x = z + noise of variance s: q's unit variance gives I^L = D/2 · 1/(1 + s), under I = D/2 · log(1 + 1/s)."""
    s, rng = 0.25, torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 2, generator=rng)
    x = z + math.sqrt(s) * torch.randn(z.shape, generator=rng)
    empty = torch.zeros(1, 1)
    round = Round(z, z, torch.zeros_like(z), x / (1 + s), empty, empty)
    assert round.information_lower.item() == pytest.approx(1 / (1 + s), rel=0.05)
    true = math.log(1 + 1 / s)
    assert mutual_information(z, x, rng) == pytest.approx(true, rel=0.05)
    assert round.information_lower.item() < true


def test_what_a_trained_models_codes_tell(place):
    """An untrained network passes little on; the same generator and encoder give the same number."""
    from tests.training.test_trainer import trainer

    model = trainer(place.results).model
    found = [code_information(model, torch.Generator().manual_seed(0), samples=400, steps=50) for _ in range(2)]
    assert found[0] == found[1] >= 0
