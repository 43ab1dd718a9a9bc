"""A study without the plugins' models that can't be trained, so that a mistake in one leaves the others alone."""

from __future__ import annotations

from collections.abc import Mapping

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset
from disentangle_bench.errors import PluginError
from disentangle_bench.plugins import fault, is_plugin
from disentangle_bench.studies.config import StudyConfig, resolve_trials


def without_faulty_plugins(study: StudyConfig, data: Mapping[str, Dataset]) -> tuple[StudyConfig, list[PluginError]]:
    """The study with the models that can be trained, and what is wrong with each of the others.

    Raises the first fault where no model is left.
    """
    faults = {}
    for model in dict.fromkeys(study.models):
        if not is_plugin(registry.get("model", model)):
            continue
        try:
            resolve_trials(study.model_copy(update={"models": [model]}), data)
        except Exception as error:
            found = error if isinstance(error, PluginError) else fault(error)
            if found is None:
                raise
            faults[model] = found
    kept = [model for model in study.models if model not in faults]
    if not kept:
        raise next(iter(faults.values()))
    return study.model_copy(update={"models": kept}), list(faults.values())
