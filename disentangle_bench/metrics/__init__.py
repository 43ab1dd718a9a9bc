"""Disentanglement scores of plain arrays: this package needs numpy, scipy and scikit-learn, never torch or Ray.

    from disentangle_bench.metrics import score
    score("factor-vae", codes, factors)
    score("factor-vae", codes, factors, protocol="locatello")

Where no protocol is named, each metric's `default_protocol` is meant: `robust`, or its first where it has no such.
Each metric is one file, a pure function of a `CodeTable`; `registry.names("metric")` lists them. An encoder instead
of codes: `score_encoder(encode, dataset)`. Scores of several models by one another: `metrics.udr.udr` and
`metrics.model_centrality.model_centrality`.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Cost, Dataset, ImageMetric, ImageSamples, Metric, Progress, silent
from disentangle_bench.errors import UserError
from disentangle_bench.metrics.cost import SAID_S, told, too_dear

__all__ = ["from_representation_function", "score", "score_encoder", "score_images", "score_table"]

ENCODE_BATCH = 256  # images that `score_encoder` encodes at a time; more fit a processor's caches less


def score(
    metric: str,
    codes: npt.ArrayLike,
    factors: npt.ArrayLike,
    protocol: str | None = None,
    seed: int = 0,
    *,
    repeats: int = 1,
    factor_names: tuple[str, ...] = (),
    same_image: Mapping[str, Mapping[int, int]] | None = None,
) -> dict[str, Any]:
    """The scores of one metric on plain arrays: its `keys`, and details beside them; or {"skip": reason}.

    codes: (N, D), real, integer or boolean, every value finite; what an encoder gives for each image.
    factors: (N, K), whole numbers; the index of each generative factor's value. The rows need not be a full grid.
    protocol: one of the metric's; None: its default, `robust` where it has one.
    factor_names: K names, for messages and details.
    same_image: {factor name: {value: the value whose images it repeats}}; used by `robust` protocols.
    repeats: how many of the metric's seeds to score by; see `score_table`.

    The same arguments give the same bytes. A mistake in them raises `UserError`, a `ValueError`.
    """
    table = CodeTable(np.asarray(codes), np.asarray(factors), tuple(factor_names), same_image or {})
    return score_table(metric, table, protocol, seed, repeats)


def score_table(
    metric: str, table: CodeTable, protocol: str | None = None, seed: int = 0, repeats: int = 1
) -> dict[str, Any]:
    """As `score`, on a `CodeTable`; scoring many metrics on one table shares its index of factor values.

    With `repeats` above 1 the same codes are scored by that many seeds of the metric. The result is the first one's,
    as without repeats, and beside it {"sampling": {"repeats": n, key: standard deviation over them}}: the metric's own
    sampling error, which training seeds have nothing to do with.

    The generator depends on the seed, the metric's name and the protocol's name alone, so that adding a metric to a
    study changes no other score. Every number in the result is finite and of a plain Python type; if a metric breaks
    that, this raises `RuntimeError`, because a leaderboard must never see a NaN.
    """
    chosen, protocol = _chosen(metric, protocol, Metric)
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise UserError(f"repeats must be a whole number from 1 up, not {repeats!r}.")
    if chosen.needs_factors and not table.factor_names:
        return {"skip": "the codes come without factors"}
    cost: Cost | None = chosen.cost(table, chosen.protocols[protocol])
    if cost is not None:
        if reason := too_dear(metric, protocol, replace(cost, seconds=cost.seconds * repeats), table):
            return {"skip": reason}
        if protocol in chosen.slow or cost.seconds * repeats >= SAID_S:
            sys.stderr.write(f"{metric}, {protocol}: {told(cost)}{' a repeat' if repeats > 1 else ''}\n")
    elif protocol in chosen.slow:
        _say_cost(chosen, protocol)
    result = _score_once(chosen, table, protocol, generator(seed, metric, protocol))
    if "skip" in result or repeats == 1:
        return result
    others = [
        _score_once(chosen, table, protocol, generator(seed, metric, protocol, repeat)) for repeat in range(1, repeats)
    ]
    if any("skip" in each for each in others):  # a draw in which nothing varied: its spread is not known
        return result
    moved = {key: [each[key] - result[key] for each in (result, *others)] for key in chosen.keys}  # equal: exactly 0
    spread = {key: float(np.std(differences, ddof=1)) for key, differences in moved.items()}
    return result | {"sampling": {"repeats": repeats, **spread}}


def score_images(metric: str, samples: ImageSamples, protocol: str | None = None, seed: int = 0) -> dict[str, Any]:
    """As `score_table`, by a metric that sees a model's images beside the real ones: `fid`, `grid-quality`, ..."""
    chosen, protocol = _chosen(metric, protocol, ImageMetric)
    if protocol in chosen.slow:
        _say_cost(chosen, protocol)
    reason = chosen.reason_to_skip(samples.dataset)
    return {"skip": reason} if reason else _score_once(chosen, samples, protocol, generator(seed, metric, protocol))


def _chosen(metric: str, protocol: str | None, kind: type[Any]) -> tuple[Any, str]:
    """The metric of this name, which must be of the kind, and its protocol."""
    chosen: Any = registry.get("metric", metric)
    if not isinstance(chosen, kind):
        sees = "a model's images" if kind is Metric else "codes"
        raise UserError(f"'{metric}' scores {sees}, not what it is given here; `disentangle-bench metrics` lists all.")
    return chosen, chosen.protocol(protocol)


def _say_cost(chosen: Metric | ImageMetric, protocol: str) -> None:
    sys.stderr.write(f"{chosen.name}, {protocol}: {chosen.slow[protocol]}\n")


def _score_once(chosen: Any, sees: CodeTable | ImageSamples, protocol: str, rng: np.random.Generator) -> dict[str, Any]:
    """A metric's result by one seed, checked."""
    metric = chosen.name
    result = chosen.compute(sees, chosen.protocols[protocol], rng)
    if not isinstance(result, Mapping):
        raise RuntimeError(f"metric '{metric}' must give {{key: value}}, not a {type(result).__name__}.")
    if set(result) == {"skip"} and isinstance(result["skip"], str):
        return dict(result)
    missing = [key for key in chosen.keys if not isinstance(result.get(key), int | float | np.number)]
    if missing:
        raise RuntimeError(f"metric '{metric}' gave no number for its score '{missing[0]}'.")
    where = f"metric '{metric}', protocol '{protocol}'"
    return {key: _plain(value, f"{where}, key '{key}'") for key, value in result.items()}


def score_encoder(
    encode: Callable[[np.ndarray], npt.ArrayLike],
    dataset: Dataset,
    metrics: Sequence[str] | None = None,
    protocol: str | None = None,
    seed: int = 0,
    *,
    batch_size: int = ENCODE_BATCH,
) -> dict[str, dict[str, Any]]:
    """{metric: its scores, or {"skip": reason}} of an encoder, whose codes of the whole grid are computed once.

    encode: images, uint8 (B, C, H, W), 0..255, to codes (B, D); deterministic. See `from_representation_function`.
    metrics: names; without them, all of codes that are registered, where one that lacks the protocol gives a reason to
        skip.
    protocol: of all these metrics; None: each one's default, `robust` where it has one.
    """
    names = registry.metrics_of(Metric) if metrics is None else list(metrics)
    if batch_size < 1:
        raise UserError(f"batch_size must be 1 or more images, not {batch_size}.")
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        chosen: Metric = registry.get("metric", name)
        reason = chosen.reason_to_skip(dataset)
        if metrics is not None or protocol in chosen.protocols:
            chosen.protocol(protocol)  # a name that it does not have is told before anything is encoded
        elif protocol is not None:
            reason = f"it has no protocol '{protocol}'"
        results[name] = {"skip": reason} if reason else {}
    if all(results.values()):
        return results
    table = CodeTable.of(dataset, encode_dataset(encode, dataset, batch_size))
    return {name: result or score_table(name, table, protocol, seed) for name, result in results.items()}


def from_representation_function(function: Callable[[np.ndarray], npt.ArrayLike]) -> Callable[[np.ndarray], np.ndarray]:
    """An `encode` for `score_encoder` from an encoder of float32 images (B, H, W, C), 0 to 1, to codes (B, D).

    That is the form of disentanglement_lib's `representation_function`.
    """

    def encode(images: np.ndarray) -> np.ndarray:
        scaled = np.ascontiguousarray(np.moveaxis(images, 1, 3), dtype=np.float32) / np.float32(255)
        return np.asarray(function(scaled))

    return encode


def encode_dataset(
    encode: Callable[[np.ndarray], npt.ArrayLike], dataset: Dataset, batch_size: int, progress: Progress = silent
) -> np.ndarray:
    """The codes of the images that the dataset is evaluated on, in their order: (M, D). progress: in images."""
    codes: np.ndarray | None = None
    evaluated = dataset.evaluation()
    for start in range(0, len(evaluated), batch_size):
        index = evaluated[start : start + batch_size]
        block = np.asarray(encode(dataset.images(index)))
        width = block.shape[1:] if codes is None else codes.shape[1:]
        if block.ndim != 2 or block.shape != (len(index), *width):
            raise UserError(
                f"encode must give codes (B, D), one row for each of {len(index)} images and always as many columns, "
                f"but their shape is {block.shape}."
            )
        if codes is None:
            codes = np.empty((len(evaluated), *width), dtype=np.result_type(block, np.float32))
        codes[start : start + len(block)] = block
        progress(start + len(block), len(evaluated))
    if codes is None:
        raise UserError(f"{dataset.name} has no images to encode.")
    return codes


def generator(seed: int, metric: str, protocol: str, repeat: int = 0) -> np.random.Generator:
    """The random generator of one score, or of its repeat.

    SHA-256, because Python's own `hash` of a string changes between processes.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"seed must be a whole number from 0 up, not {seed!r}.")
    name = f"{metric}/{protocol}/{repeat}" if repeat else f"{metric}/{protocol}"
    digest = hashlib.sha256(name.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    return np.random.default_rng(np.random.SeedSequence([int(seed), *words]))


def _plain(value: Any, where: str) -> Any:
    """`value` in Python's own types; `RuntimeError` where a number in it is not finite or a type is not JSON's."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}, '{key}'") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise RuntimeError(f"{where}: the value is {value}; a metric must give a finite number or a reason to skip.")
    if not isinstance(value, str | bool | int | float):
        raise RuntimeError(f"{where}: a {type(value).__name__} can't be written to a record.")
    return value
