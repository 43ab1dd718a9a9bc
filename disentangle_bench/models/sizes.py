"""How large a model is, without training it."""

from __future__ import annotations

from disentangle_bench import registry
from disentangle_bench.errors import PluginError, UserError
from disentangle_bench.models.base import Model, count_parameters
from disentangle_bench.models.declared import refuse_incomplete
from disentangle_bench.plugins import guarded

NAMED = {"mnist": (1, 28, 28)}  # images of a dataset that is not built in
SHAPES = [(1, 64, 64), (3, 64, 64), (1, 28, 28), (1, 32, 32), (1, 16, 16)]  # tried where no dataset is named
CLASSES = 10


def player_sizes(cls: type[Model]) -> dict[str, int]:
    """Parameters by player of the model's first configuration, on images of the dataset that it is named after.

    Where there is no such dataset, on the first shape of images that the model takes; a conditional model has ten
    classes.
    """
    refuse_incomplete(cls)
    name, config = next(iter(cls.configurations.items()))
    shapes = [NAMED[name]] if name in NAMED else SHAPES
    if name in registry.names("dataset"):
        shapes = [registry.get("dataset", name).image_shape]
    for shape in shapes:
        try:
            given = {"classes": CLASSES} if cls.conditional else {}
            model = guarded(cls, "its constructor", cls, config, shape, **given)
        except PluginError:
            raise
        except UserError:
            continue
        players = guarded(cls, "`players`", model.players)
        return {player: count_parameters(each.parameters) for player, each in players.items()}
    return {}
