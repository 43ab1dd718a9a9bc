"""A study of tiny trials, which take a second each."""

from disentangle_bench import registry
from disentangle_bench.studies.config import load_study
from disentangle_bench.studies.plan import plan


def tiny_study(place, seeds, *settings):
    """The study `s`: ib-gan on the plugin dataset `tiny`, five steps, planned in this workspace."""
    changes = {"models": "ib-gan", "datasets": "tiny", "seeds": seeds, "name": "s"}
    config = load_study(None, changes, ["steps=5", "batch_size=8", "metrics={mig: [robust]}", *settings])
    return plan(config, place, {"tiny": registry.get("dataset", "tiny")(place.data)})
