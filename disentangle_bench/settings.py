"""Settings: a mistake in them gets a sentence, and new ones leave older trials' ids as they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from disentangle_bench.errors import UserError, unknown

AUTO = "auto"  # a setting that is settled when a study is planned
T = TypeVar("T", bound=BaseModel)


class Settings(BaseModel):
    """Typed, frozen, and with no field but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    LATER: ClassVar[tuple[str, ...]] = ()  # fields that older trials do not have

    @model_serializer(mode="wrap")
    def leave_out_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """All settings, but later ones only where they differ from their defaults: so older trials keep their ids."""
        fields = type(self).model_fields
        return {k: v for k, v in handler(self).items() if k not in self.LATER or v != fields[k].default}


def validated(cls: type[T], raw: Mapping[str, Any], prefix: str) -> T:
    """`raw` as a `cls`; `UserError` with the field's path, the value and what was expected."""
    try:
        return cls.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        path = prefix + ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise unknown(f"field '{path}': field", str(first["loc"][-1]), cls.model_fields) from error
        if first["type"] == "missing":
            option = {"models": "--models", "datasets": "--dataset"}.get(path, f"--set {path}=...")
            raise UserError(f"{path} is missing; give it in the study file or with {option}.") from error
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{path} = {first['input']!r}: {message[0].lower()}{message[1:]}.") from error
