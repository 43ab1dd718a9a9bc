"""Settings that a trial's identity is made of, and that may gain fields without changing it."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Settings(BaseModel):
    """Typed, frozen, and with no field but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    LATER: ClassVar[tuple[str, ...]] = ()  # fields that older trials do not have

    @model_serializer(mode="wrap")
    def leave_out_later_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """All settings, but later ones only where they differ from their defaults: so older trials keep their ids."""
        fields = type(self).model_fields
        return {k: v for k, v in handler(self).items() if k not in self.LATER or v != fields[k].default}
