"""Data at the edge: one image, one value, fewer rows than a protocol draws, factors with thousands of values."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from disentangle_bench import metrics, registry
from disentangle_bench.contracts import CodeTable, Metric
from disentangle_bench.metrics import cost, score, score_table
from disentangle_bench.metrics.dci import PROTOCOLS

OF_CODES = [
    (metric, protocol)
    for metric in registry.metrics_of(Metric)
    for protocol in registry.get("metric", metric).protocols
]
DEAR = [("dci", "locatello"), ("dci", "histogram-boosting"), ("downstream", "locatello"), ("beta-vae", "original")]
QUICK = [each for each in OF_CODES if each not in DEAR]


def small_tables(rows: tuple[int, ...]) -> Iterator[CodeTable]:
    """So many images, with one to three factors and codes: factors of one value, of a value an image, and by chance."""
    rng = np.random.default_rng(0)
    for n, (factors, codes) in itertools.product(rows, ((1, 1), (3, 2))):
        unique = np.stack([rng.permutation(n) for _ in range(factors)], axis=1)
        for values in (np.zeros((n, factors), dtype=int), rng.integers(2, size=(n, factors)), unique):
            yield CodeTable(rng.standard_normal((n, codes)), values)
    yield CodeTable(np.zeros((3, 2)), np.array([[0, 0], [1, 0], [1, 1]]))  # codes that say nothing


def assert_a_number_or_a_reason(metric: str, protocol: str, table: CodeTable) -> None:
    result = score_table(metric, table, protocol)  # which raises for a NaN and for a score that is missing
    if "skip" in result:
        assert len(result["skip"].split()) > 4, "a reason in words"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("metric", "protocol"), QUICK)
def test_every_protocol_gives_a_number_or_a_reason(metric: str, protocol: str) -> None:
    for table in small_tables((1, 2, 5)):
        assert_a_number_or_a_reason(metric, protocol, table)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("metric", "protocol"), OF_CODES)
def test_every_protocol_of_more_tables(metric: str, protocol: str) -> None:
    for table in small_tables((1, 2, 3, 4, 7, 12)):
        assert_a_number_or_a_reason(metric, protocol, table)


@pytest.mark.parametrize(("metric", "protocol"), OF_CODES)
def test_one_image_is_a_reason_that_names_the_need(metric: str, protocol: str) -> None:
    result = score(metric, np.ones((1, 3)), np.zeros((1, 2), dtype=int), protocol)
    if registry.get("metric", metric).needs_factors:
        assert "more than one value" in result["skip"] or "two that vary" in result["skip"]


# --- thousands of values


def numbered(values: int, codes: int = 10) -> CodeTable:
    """A factor with so many values, as a column of numbers has, and one of three; none of the codes knows them."""
    rng = np.random.default_rng(0)
    n = max(values, 1000)
    factors = np.stack([np.arange(n) % values, rng.integers(3, size=n)], axis=1)
    return CodeTable(rng.standard_normal((n, codes)), factors, ("number", "kind"))


def test_values_count_as_far_as_the_rows_can_show_them() -> None:
    table = CodeTable(np.zeros((6, 1)), np.array([[0, 0, 0], [0, 1, 1], [0, 0, 2], [0, 1, 3], [0, 0, 4], [0, 1, 4]]))
    assert table.value_counts.tolist() == [1, 2, 5]
    assert cost.classes(table, 100) == 1 + 5  # two values are one question, and one is none
    assert cost.classes(table, 3) == 1 + 3


def test_the_cost_is_that_of_the_data_at_hand() -> None:
    """A hundred trees a value, 100 · (40 + 3); a quarter of a second a value and code."""
    dci: Metric = registry.get("metric", "dci")
    found = dci.cost(numbered(40), PROTOCOLS["locatello"])
    assert (found.work, found.seconds) == ("trains 4,300 boosted trees", pytest.approx(0.25 * 10 * 43))
    assert dci.cost(numbered(40), PROTOCOLS["original"]) is None, "a regressor doesn't mind"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (119, "119 s"),
        (150, "2.5 minutes"),
        (3599, "60 minutes"),
        (8000, "2.2 hours"),
        (1e7, "2,800 hours"),
    ],
)
def test_a_cost_in_words(seconds: float, words: str) -> None:
    assert cost.told(cost.Cost("works", seconds)) == f"works, about {words} of processor time"


@pytest.mark.parametrize(
    ("metric", "protocol", "values"),
    [
        ("dci", "locatello", 5_000),
        ("downstream", "locatello", 5_000),
        ("modularity-explicitness", "infogan-cr", 500_000),
    ],
)
def test_hours_are_not_begun_unless_they_are_asked_for_by_name(
    metric: str, protocol: str, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = numbered(values)
    said = score_table(metric, table, protocol)["skip"]
    assert f" of processor time, and the limit is an hour: factor 'number' has {values:,} values" in said
    assert said.endswith(f"set DISENTANGLE_BENCH_SLOW={metric}/{protocol} to compute it all the same")

    monkeypatch.setenv(cost.VARIABLE, f"dci/other, {metric}/{protocol}")
    chosen = registry.get("metric", metric)
    assert cost.too_dear(metric, protocol, chosen.cost(table, chosen.protocols[protocol]), table) == ""
    assert cost.may_now(f"{metric}/{protocol}", said)
    assert not cost.may_now(f"{metric}/{protocol}", "no factor has more than one value")
    assert not cost.may_now("dci/other", said)


def test_repeats_cost_as_often() -> None:
    """40 minutes once; twice, more than an hour."""
    dci: Metric = registry.get("metric", "dci")
    assert dci.cost(numbered(960), PROTOCOLS["locatello"]).seconds == pytest.approx(2407.5)
    assert "about 80 minutes" in score_table("dci", numbered(960), "locatello", repeats=2)["skip"]


def test_minutes_are_said_before_they_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of a protocol that is quick on the datasets that are shipped."""
    monkeypatch.setattr(metrics, "SAID_S", 0.0)
    score_table("dci", numbered(4), "robust")
    assert capsys.readouterr().err == "dci, robust: trains forests for 7 values, about 1 s of processor time\n"
