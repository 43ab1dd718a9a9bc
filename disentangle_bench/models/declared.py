"""Whether a model keeps its contract, as a plugin's may not: what its class declares, and what its methods give."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from disentangle_bench.errors import PluginError
from disentangle_bench.models.base import Model, ModelConfig, Player
from disentangle_bench.plugins import called


def refuse_incomplete(cls: type[Model]) -> None:
    """Raise `PluginError` where a class lacks what every model declares."""
    for field in ("name", "paper", "code_source"):
        value = getattr(cls, field, None)
        refuse(cls, isinstance(value, str) and value, f"set the class attribute `{field}` to a text; it is {value!r}")
    whole = isinstance(cls.version, int) and cls.version > 0
    refuse(cls, whole, f"set the class attribute `version` to a whole number from 1 up; it is {cls.version!r}")
    config = getattr(cls, "Config", None)
    derived = inspect.isclass(config) and issubclass(config, ModelConfig)
    refuse(cls, derived, f"set `Config` to a subclass of ModelConfig; it is {config!r}")
    known = getattr(cls, "configurations", None)
    some = isinstance(known, Mapping) and known
    refuse(cls, some, f"name some in `configurations`, such as {{'small': MyConfig()}}; it is {known!r}")
    for name, each in dict(known or {}).items():
        fits = config is not None and isinstance(each, config)
        refuse(cls, fits, f"configuration '{name}' must be an instance of its `Config`; it is a {type(each).__name__}")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    refuse(cls, not missing, f"it does not define {', '.join(f'`{name}`' for name in missing)}")
    phases = [phase for phase in cls.phases if not callable(getattr(cls, phase, None))]
    refuse(cls, not phases, f"it does not define `{''.join(phases[:1])}`, which `phases` names")
    own = cls.phases != ("losses",) or cls.losses is not Model.losses
    refuse(cls, own, "it does not define `losses`, nor names other methods in `phases`")


def refuse(cls: type[Model], right: Any, what: str, method: str = "") -> None:
    """Raise `PluginError`, naming the class, and its line or that of its method, unless something is right."""
    if not right:
        raise PluginError(f"{called(cls, method)} breaks its contract: {what}.")


def refuse_unbuilt(cls: type[Model], model: Any) -> None:
    """Raise `PluginError` where a plugin's constructor left out that of its base class."""
    refuse(
        cls,
        "_modules" in vars(model),
        "call `super().__init__(config, image_shape)` first in its constructor",
        "__init__",
    )


def refuse_players(cls: type[Model], players: Any) -> None:
    """Raise `PluginError` unless these are players by name."""
    right = isinstance(players, Mapping) and players and all(isinstance(each, Player) for each in players.values())
    refuse(cls, right, f"`players` must give {{name: Player(parameters, optimiser)}}, not {short(players)}", "players")


def refuse_losses(cls: type[Model], phase: str, losses: Any, players: Mapping[str, Player]) -> None:
    """Raise `PluginError` unless a phase gave a loss each, one number that depends on parameters, of known players."""
    if not isinstance(losses, Mapping):
        refuse(cls, False, f"`{phase}` must give {{player: loss}}, not {short(losses)}", phase)
    for name, loss in losses.items():
        if name not in players:
            refuse(cls, False, f"`{phase}` gives a loss for {name!r}, but `players` names {', '.join(players)}", phase)
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            what = "one number that depends on its parameters"
            refuse(cls, False, f"`{phase}` must give for '{name}' {what}, not {short(loss)}", phase)


def refuse_codes(cls: type[Model], codes: Any, count: int) -> None:
    """Raise `PluginError` unless these are codes (count, D)."""
    right = isinstance(codes, Tensor) and codes.ndim == 2 and len(codes) == count
    refuse(cls, right, f"`encode` must give a tensor (N, D), one row an image, not {short(codes)}", "encode")


def short(value: Any) -> str:
    """What a value is, for a message."""
    return f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
