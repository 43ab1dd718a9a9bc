"""What a user can mend: one sentence that names the field, the value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can mend. The command line prints its sentence and exits with status 2."""


class PluginError(UserError):
    """A fault in a plugin's own code: one sentence with its file and line, and the plugin's own last frames below."""


def unknown(kind: str, name: str, known: Iterable[str], more: str = "") -> UserError:
    """The error for a name that is not in `known`, with the nearest one that is. more: another remedy."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"unknown {kind} '{name}'.{guess} Known: {', '.join(names) or 'none'}.{more}")
