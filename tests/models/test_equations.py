"""Each published model's steps against its paper's equations: no change of the code may change what is trained.

The equations stand in equations/, and what they gave, once and for all, in its steps.json.
"""

import json

import pytest
import torch

from tests.models.equations.cases import CASES, PATH, built, by_the_equations, by_the_model, float64, summary
from tests.models.equations.parts import layers_of

STORED = json.loads(PATH.read_text())


@pytest.mark.parametrize("name", CASES)
def test_the_models_steps_are_those_of_the_equations(name):
    """Losses, all weights, running statistics and spectral norm's vectors; then the stored numbers."""
    case = CASES[name]
    with float64():
        model, start = built(case), built(case)
        sides = zip(by_the_model(case, model), by_the_equations(case, start), STORED[name], strict=True)
        for losses, (expected, networks), stored in sides:
            assert losses.keys() == expected.keys()
            for player, loss in expected.items():
                assert losses[player].item() == pytest.approx(loss.item(), rel=1e-10), player
            ours = {network: layers_of(getattr(model, network)) for network in networks}
            for network, layers in networks.items():
                for layer, reference in zip(ours[network], layers, strict=True):
                    values = {part: value for part, value in vars(reference).items() if value is not None}
                    found = {part: getattr(layer, part) for part in values}
                    # biases before batch norm have no gradient but rounding errors, which optimisers divide by 1e-8
                    torch.testing.assert_close(found, values, rtol=1e-8, atol=3e-9, msg=f"{network}: {layer}")
            assert summary(losses, ours) == pytest.approx(stored, rel=1e-8, abs=2e-8)


def test_every_case_is_stored():
    assert list(STORED) == list(CASES)
