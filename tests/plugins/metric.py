"""A metric that is a constant, or crashes, as its environment says."""

import os

from disentangle_bench.contracts import Metric


def constant(table, protocol, rng):
    if "METRIC_CRASHES" in os.environ:
        raise ZeroDivisionError("planned crash of a metric")
    return {"score": 0.5}


METRIC = Metric("constant", "A constant", "nobody", constant, {"only": None})
