"""How large a model is, without training it."""

from __future__ import annotations

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Model, count_parameters

NAMED = {"mnist": (1, 28, 28)}  # images of a dataset that is not built in
SHAPES = [(1, 64, 64), (3, 64, 64), (1, 28, 28), (1, 32, 32), (1, 16, 16)]  # tried where no dataset is named
CLASSES = 10


def player_sizes(cls: type[Model]) -> dict[str, int]:
    """Parameters by player of the model's first configuration, on images of the dataset that it is named after.

    Where there is no such dataset, on the first shape of images that the model takes; a conditional model has ten
    classes.
    """
    name, config = next(iter(cls.configurations.items()))
    shapes = [NAMED[name]] if name in NAMED else SHAPES
    if name in registry.names("dataset"):
        shapes = [registry.get("dataset", name).image_shape]
    for shape in shapes:
        try:
            model = cls(config, shape, **({"classes": CLASSES} if cls.conditional else {}))
        except UserError:
            continue
        return {player: count_parameters(each.parameters) for player, each in model.players().items()}
    return {}
