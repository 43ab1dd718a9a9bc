"""What a trial is: all that could change its result, hashed to its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import CODE_FORMAT
from disentangle_bench.models.base import Model, ModelConfig
from disentangle_bench.settings import validated
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials import sweep


class TrialSpec(BaseModel):
    """All that could change a trial's result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    model_source: str | None = Field(None, description="sha256 of a plugin's source; none for a built-in model")
    configuration: str
    config: dict[str, Any]
    dataset: str
    dataset_checksum: str
    seed: int
    numerics: Numerics
    code_format: int = CODE_FORMAT

    @property
    def id(self) -> str:
        """12 hexadecimal digits of sha256 over the canonical JSON of this specification."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def label(self) -> str:
        """The model, and its swept values where a study has several of it: `ib-gan`, `beta-vae(beta=4)`."""
        return self.model + sweep.variant_of(self.configuration)

    @property
    def title(self) -> str:
        """For people: `ib-gan dsprites seed 3`."""
        return f"{self.label} {self.dataset} seed {self.seed}"

    def without_seed(self) -> dict[str, Any]:
        """This specification but for its seed: what the trials of one cell have in common."""
        return self.model_dump(mode="json", exclude={"seed"})

    def changes(self) -> dict[str, Any]:
        """The fields in which this trial's configuration differs from the one that its name begins with."""
        return changed_fields(self.model, self.configuration, self.config)

    def typed_config(self) -> ModelConfig:
        """The model's configuration as its own type."""
        cls: type[Model] = registry.get("model", self.model)
        return validated(cls.Config, self.config, f"{self.model}.")


def changed_fields(model: str, configuration: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in which a configuration, called `small(beta=4)-changed`, differs from the model's own `small`.

    Empty, too, where that can't be known: the model, or a configuration of this name, is not at hand.
    """
    try:
        cls: type[Model] = registry.get("model", model)
    except UserError:  # a plugin's, of which only the record is here
        return {}
    named = cls.configurations.get(configuration.removesuffix("-changed").partition("(")[0])
    before = named.model_dump(mode="json") if named is not None else config
    return {field: value for field, value in config.items() if field in before and before[field] != value}
