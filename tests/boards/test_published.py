"""The papers' numbers that are shipped: each is of a score that is known here, and none claims more than is known."""

import pandas as pd
import pytest

from disentangle_bench import registry
from disentangle_bench.boards.own_codes import in_words, papers_scores
from disentangle_bench.boards.published import NOT_STATED, published_values, read_published
from tests.helpers import ROOT

PUBLISHED = read_published(ROOT / "results" / "published")
PAGE = (ROOT / "docs/explanation/papers.md").read_text(encoding="utf-8")


def test_every_number_is_of_a_known_score_and_in_its_range() -> None:
    for row in PUBLISHED.to_dict("records"):
        metric = registry.get("metric", row["metric"])
        assert row["key"] in metric.keys
        assert row["protocol"] == NOT_STATED or row["protocol"] in metric.protocols
        assert registry.known_dataset(row["dataset"])
        low, high = metric.range
        assert low <= row["value"] <= high
        assert pd.isna(row["spread"]) or row["spread"] >= 0
        assert row["source"]


def test_no_score_has_two_numbers_of_one_source() -> None:
    assert not PUBLISHED.duplicated(["model", "dataset", "metric", "protocol", "key", "source"]).any()


def test_a_number_without_a_protocol_is_context_alone() -> None:
    unknown = PUBLISHED[PUBLISHED["protocol"] == NOT_STATED]
    assert len(unknown) == 126
    assert unknown["configuration"].isna().all()
    assert unknown["seeds"].isna().all()
    assert unknown["note"].str.contains("not printed there").all()
    assert NOT_STATED not in set(published_values(PUBLISHED)["protocol"])
    for name in registry.names("metric"):
        assert NOT_STATED not in registry.get("metric", name).protocols


@pytest.mark.parametrize(
    ("model", "dataset", "metric", "value", "spread"),
    [
        ("infogan-cr", "shapes3d", "factor-vae", 0.587, 0.058),
        ("vct", "mpi3d-complex", "dci", 0.467, 0.064),
        ("sefa", "cars3d", "mig", 0.083, 0.024),
    ],
)
def test_cells_of_fdaes_table(model: str, dataset: str, metric: str, value: float, spread: float) -> None:
    rows = PUBLISHED[(PUBLISHED["model"] == model) & (PUBLISHED["dataset"] == dataset)]
    [row] = rows[rows["metric"] == metric].to_dict("records")
    assert (row["value"], row["spread"]) == (value, spread)


@pytest.mark.parametrize(
    ("dataset", "metric", "protocol", "text"),
    [
        ("shapes3d", "mig", NOT_STATED, "infogan-cr 0.30 ± 0.12"),
        ("dsprites", "factor-vae", "infogan-cr", "osrgan 0.96"),
    ],
)
def test_they_stand_beside_ones_own_scores_by_what_they_are(
    dataset: str, metric: str, protocol: str, text: str
) -> None:
    lines = {row[1]: row[3] for row in in_words(papers_scores(PUBLISHED, dataset, [metric]))}
    assert text in lines[protocol]


def test_the_page_names_every_source_and_every_method() -> None:
    for source in PUBLISHED["source"].unique():
        assert f"| {source} |" in PAGE
    for model in PUBLISHED.loc[PUBLISHED["protocol"] == NOT_STATED, "model"].unique():
        assert f"`{model}`" in PAGE
