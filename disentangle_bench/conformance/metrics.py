"""The checks of a metric and of a comparison, on the oracle encoders over a little grid."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from disentangle_bench.conformance import Fault, require
from disentangle_bench.contracts import EVERY, CodeTable, Comparison, Metric
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.oracles import ORACLES, oracle_codes
from disentangle_bench.metrics import generator
from disentangle_bench.metrics.model_centrality import Peer

SIZES = {"a": 3, "b": 4, "c": 3, "d": 4, "e": 5}  # five factors, as some protocols fix a setting for each of dSprites'
ROUNDING = 1e-9  # by which a score may leave its range


def table(kind: str, seed: int = 0) -> CodeTable:
    """An oracle encoder's codes of the grid."""
    factors = np.stack(np.unravel_index(np.arange(math.prod(SIZES.values())), tuple(SIZES.values())), axis=1)
    return CodeTable(oracle_codes(factors, kind, seed), factors, tuple(SIZES))


def quick(metric: Metric) -> Iterator[str]:
    """The protocols that don't take minutes."""
    return (protocol for protocol in metric.protocols if protocol not in metric.slow)


def result(metric: Metric, codes: CodeTable, protocol: str, seed: int = 0) -> dict[str, Any]:
    """The metric's result as it gave it."""
    return metric.compute(codes, metric.protocols[protocol], generator(seed, metric.name, protocol))


def declares(metric: Metric) -> None:
    """It says what it is."""
    for field in ("name", "title", "cite"):
        value = getattr(metric, field)
        require(isinstance(value, str) and value, f"set `{field}` to a text; it is {value!r}")
    require(inspect.isfunction(metric.compute), "`compute` must be a function: its file is part of a score's identity")
    require(metric.protocols, "`protocols` must name at least one protocol; its name fixes all that moves the score")
    require(EVERY not in metric.protocols, f"no protocol may be called '{EVERY}', which stands for every one")
    require(metric.keys, "`keys` must name at least one score of the result")
    low, high = metric.range
    require(low < high, f"`range` must be (smallest, largest), not {metric.range}")
    unknown = sorted(set(metric.slow) - set(metric.protocols))
    require(not unknown, f"`slow` names the protocol '{unknown[0] if unknown else ''}', which it doesn't have")


def gives_scores(metric: Metric) -> None:
    """Every oracle encoder has a finite score within the range, or a reason to skip."""
    scored = 0
    for protocol in quick(metric):
        for kind in ORACLES:
            found = result(metric, table(kind), protocol)
            if set(found) == {"skip"}:
                require(
                    isinstance(found["skip"], str) and found["skip"], f"{protocol}: `skip` must be a reason in words"
                )
                continue
            scored += 1
            for key in metric.keys:
                value = found.get(key)
                numeric = isinstance(value, int | float | np.number) and math.isfinite(value)
                require(numeric, f"{protocol}: `{key}` of {kind} codes is {value!r}; it must be a finite number")
                low, high = metric.range
                inside = low - ROUNDING <= float(value) <= high + ROUNDING  # type: ignore[arg-type]
                require(inside, f"{protocol}: `{key}` of {kind} codes is {value}, outside `range` {low:g} to {high:g}")
    if metric.protocols and all(protocol in metric.slow for protocol in metric.protocols):
        return
    require(scored, "it skipped every oracle encoder, so nothing of it was seen")


def survives_odd_codes(metric: Metric) -> None:
    """Odd but finite codes give numbers: constants, one code, whole numbers, huge and tiny ones."""
    factors = table("ideal").factors
    ideal = oracle_codes(factors, "ideal")
    odd = {
        "one code": ideal[:, :1], "whole numbers": factors, "truth values": factors > 1, "huge": ideal * 1e150,
        "tiny": ideal * 1e-150, "a constant among them": np.insert(ideal, 1, 7.0, axis=1),
    }  # fmt: skip
    for protocol in quick(metric):
        for what, codes in odd.items():
            with np.errstate(all="ignore"):
                found = result(metric, CodeTable(codes, factors, tuple(SIZES)), protocol)
            for key in metric.keys if set(found) != {"skip"} else ():
                finite = math.isfinite(found[key])
                require(finite, f"{protocol}: `{key}` is {found[key]} for codes that are {what}")


def repeats(metric: Metric) -> None:
    """The same seed gives the same result, and nothing else draws."""
    for protocol in quick(metric):
        texts = []
        for state in (0, 1):
            np.random.seed(state)  # noqa: NPY002  what a metric must not depend on
            texts.append(json.dumps(result(metric, table("rotated"), protocol, seed=3), default=str))
        require(texts[0] == texts[1], f"{protocol}: two runs with one seed differ: draw with the generator alone")


def leaves_its_input(metric: Metric) -> None:
    """The codes and factors that it is given stay as they were."""
    for protocol in quick(metric):
        given = table("rotated")
        before = given.codes.copy(), given.factors.copy()
        result(metric, given, protocol)
        same = np.array_equal(given.codes, before[0]) and np.array_equal(given.factors, before[1])
        require(same, f"{protocol}: it changed the arrays of the table; work on a copy")


def knows_its_direction(metric: Metric) -> None:
    """Perfect codes score no worse than random ones in the direction that it declares."""
    sign = 1 if metric.higher_is_better else -1
    for protocol in quick(metric):
        found = [result(metric, table(kind), protocol) for kind in ("ideal", "random")]
        if any(set(each) == {"skip"} for each in found):
            continue
        ideal, random = (sum(float(each[key]) for key in metric.keys) for each in found)
        better = sign * ideal >= sign * random - 0.05 * len(metric.keys)
        word = "higher" if metric.higher_is_better else "lower"
        require(better, f"{protocol}: ideal codes score {ideal:.3f} and random ones {random:.3f}, but {word} is better")


def names_bad_columns(metric: Metric) -> None:
    """A code that is not finite is an error that names its column."""
    ideal = table("ideal")
    codes = ideal.codes.copy()
    codes[5, 1] = np.nan
    try:
        result(metric, CodeTable(codes, ideal.factors), next(iter(metric.protocols)))
    except UserError as error:
        require("column 1" in str(error), f"the error doesn't name column 1: {error}")
        return
    raise Fault("codes with a NaN gave a result; raise UserError")


CHECKS = [
    declares, gives_scores, survives_odd_codes, repeats, leaves_its_input, knows_its_direction, names_bad_columns,
]  # fmt: skip


def compares(comparison: Comparison) -> None:
    """Models that agree code by code score higher than those whose codes have nothing to do with one another."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((500, 4))
    alike = [truth[:, order] * sign for order, sign in (([0, 1, 2, 3], 1), ([3, 2, 1, 0], -1), ([1, 0, 3, 2], 1))]
    strangers = [rng.standard_normal((500, 4)) for _ in range(3)]
    for protocol in comparison.protocols:
        if comparison.needs == "codes":
            groups: list[list[Any]] = [list(alike), list(strangers)]
        else:
            mixes = [np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(3)]
            groups = [[peer(np.eye(4)[::step]) for step in (1, -1, 1)], [peer(mix) for mix in mixes]]
        found = [comparison.compute(group, protocol)["scores"] for group in groups]
        for scores in found:
            require(len(scores) == 3, f"{protocol}: it gave {len(scores)} scores for 3 models")
            inside = all(math.isfinite(score) and 0 <= score <= 1 for score in scores)
            require(inside, f"{protocol}: a score is outside 0 to 1: {scores}")
        better = np.mean(found[0]) > np.mean(found[1])
        require(
            better, f"{protocol}: models that agree score {np.mean(found[0]):.3f}, strangers {np.mean(found[1]):.3f}"
        )


def peer(mix: np.ndarray) -> Peer:
    """A model whose images are its codes under an orthogonal matrix (D, D), and whose encoder undoes its own."""
    return Peer(lambda count, rng: rng.standard_normal((count, 4)), lambda codes: codes @ mix, lambda x: x @ mix.T)


COMPARISON_CHECKS = [compares]
