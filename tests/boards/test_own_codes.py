"""One's own scores beside floor and ceiling, and the papers' numbers below, each under its own protocol."""

import numpy as np
import pytest

from disentangle_bench.boards.own_codes import COLUMNS, in_words, own_scores, papers_scores
from disentangle_bench.boards.published import read_published
from disentangle_bench.contracts import CodeTable
from disentangle_bench.datasets import load
from disentangle_bench.evaluation.calibration import calibrate
from disentangle_bench.evaluation.scoring import Row, score_rows
from disentangle_bench.resources import shipped


def test_each_score_has_the_floor_of_codes_as_wide_and_the_ceiling(place) -> None:
    tiny = load("tiny", place.data)
    codes = np.random.default_rng(0).standard_normal((96, 4))
    rows = score_rows(CodeTable.of(tiny, codes), ["mig", "dci"], dataset=tiny)
    table = own_scores(rows, "mine", tiny, 4)
    assert list(table) == COLUMNS
    assert list(table["key"]) == ["score", "disentanglement", "completeness", "informativeness"], "details are left out"
    ends = calibrate(tiny, "mig", "robust", 4)["score"]
    assert (table["floor"][0], table["ceiling"][0]) == (ends["floor"], ends["ceiling"])
    assert set(table["model"]) == {"mine"}


def test_a_reason_stands_where_there_is_no_score(place) -> None:
    rows = [Row("mig", "robust", "skip", "its codes come without factors")]
    table = own_scores(rows, "mine", load("tiny", place.data), 2)
    assert table["value"].tolist() == ["its codes come without factors"]
    assert table[["floor", "ceiling"]].isna().all(axis=None)


def test_papers_numbers_keep_their_protocol_and_source() -> None:
    published = read_published(shipped("results/published"))
    papers = papers_scores(published, "dsprites", ["mig", "factor-vae"])
    assert list(papers) == COLUMNS
    assert list(dict.fromkeys(papers["metric"])) == ["mig", "factor-vae"], "in the order of one's own scores"
    assert "robust" not in set(papers["protocol"]), "no paper's number is called what it was not measured by"
    assert papers["source"].notna().all()
    lines = {(metric, protocol): text for metric, protocol, _, text in in_words(papers)}
    assert lines["factor-vae", "ib-gan"] == "ib-gan 0.80 ± 0.07"
    assert lines["mig", "infogan-cr"].startswith("vae 0.10, beta-tcvae 0.45, ")
    assert papers_scores(published, "tiny", ["mig"]).empty


@pytest.mark.parametrize("dataset", ["dsprites-32", "dsprites-draft"])
def test_a_variants_scores_stand_beside_no_papers(dataset: str) -> None:
    assert papers_scores(read_published(shipped("results/published")), dataset, ["mig"]).empty
