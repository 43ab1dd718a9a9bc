"""What a trial is: all that could change its result, hashed to its identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import CODE_FORMAT
from disentangle_bench.models.base import Model, ModelConfig
from disentangle_bench.settings import Settings, validated
from disentangle_bench.training.numerics import Numerics
from disentangle_bench.trials import sweep


class TrialSpec(Settings):
    """All that could change a trial's result."""

    LATER: ClassVar[tuple[str, ...]] = ("model_version",)

    model: str
    model_source: str | None = Field(None, description="sha256 of a plugin's source; none for a built-in model")
    model_version: int = Field(1, ge=1, description="the model's version, of which each trains in its own way")
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
        return self.model + sweep.variant_of(self.shown_configuration)

    @property
    def outdated(self) -> bool:
        """Whether the model has another version by now, whose trials are others; False where it's not at hand."""
        try:
            return registry.get("model", self.model).version != self.model_version
        except UserError:
            return False

    @property
    def shown_configuration(self) -> str:
        """The configuration as tables name it: `small`, or `small(version=1)` where the model is outdated.

        So trials of two versions are two rows, and the papers' numbers stand beside neither but the current one.
        """
        if not self.outdated:
            return self.configuration
        name, changed, _ = self.configuration.partition("-changed")
        return f"{name}(version={self.model_version}){changed}"

    def refuse_outdated(self) -> None:
        """Raise `UserError` where the model has another version by now: its networks are no longer these."""
        if self.outdated:
            version = registry.get("model", self.model).version
            raise UserError(
                f"trial {self.id} is of version {self.model_version} of {self.model}, which has version {version} here "
                "and trains otherwise; its record stays as it is. Use the disentangle-bench that trained it, or run "
                "the study by its preset or its models again, which adds trials of the new version."
            )

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
