"""A study on one page: what is gathered, what is said of it, and that it fits."""

import base64
import csv
import io
import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from disentangle_bench.boards.report import gather
from disentangle_bench.boards.report_page import page, write_report
from disentangle_bench.boards.report_pictures import MOST, scaled, share
from disentangle_bench.boards.report_tables import board_table, boards, seed_tables, shown_by_ranks
from disentangle_bench.boards.report_words import failures, ground, settings
from disentangle_bench.boards.tables import csv_text
from disentangle_bench.evaluation.scoring import Row, write_rows
from disentangle_bench.files import inert
from disentangle_bench.studies.study import read_study
from disentangle_bench.trials.records import Workspace, read_record, write_record
from tests.boards.studies import KINDS, made_up, mini


class Page(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    place = Workspace(folder / "results", folder / "data")
    mini(place)
    return gather(read_study(place, "mini"), place)


@pytest.fixture(scope="module")
def parsed(archive):
    return Page(page(archive))


def noise(side=(800, 700), seed=0):
    """The bytes of a PNG that can't be made smaller."""
    pixels = np.random.default_rng(seed).integers(256, size=(side[1], side[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def test_the_archive_in_the_repository_has_its_report(archive, parsed):
    assert len(archive.records) == 40
    assert set(archive.states.values()) == {"finished"}
    assert "vae(steps=0)" in parsed.text
    assert "0.646 ± 0.104" in parsed.text
    assert "No pictures of 40 of 40 finished trials" in parsed.text
    assert not (archive.workspace.results / "runs").exists(), "looking makes no folders"


def test_a_page_needs_nothing_but_itself(parsed):
    addresses = [tag[name] for _, tag in parsed.tags for name in ("src", "href") if name in tag]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert all(image["alt"] for image in parsed.all("img"))
    assert len(parsed.all("table")) == len(parsed.all("caption"))
    [policy] = [tag["content"] for tag in parsed.all("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_headings_go_down_one_level_at_a_time(parsed):
    levels = [int(name[1]) for name, _ in parsed.tags if re.fullmatch(r"h\d", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_ranks_in_words(archive):
    """README's table: six models that none is better than, the untrained encoder second, the GAN third."""
    rows = {
        row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in shown_by_ranks(boards(archive.table)).rows
    }
    best, first, others = rows["factor-vae · robust, on dsprites-32"]
    assert best == "beta-vae  0.646 [0.517, 0.776]"
    assert first == "beta-vae, beta-tcvae, factor-vae, ib-gan, annealed-vae, infogan-modified"
    assert others == "vae(steps=0), gan"


def test_too_few_seeds_show_no_ranks(place):
    contents = gather(made_up(place, ["a", "b"], 2), place)
    [first, _] = shown_by_ranks(boards(contents.table)).rows
    assert [cell.text for cell in first.cells[1:]] == ["a  0.901 (no rank: 2 seeds)", "no ranks: too few seeds", ""]


def test_cells_are_sorted_by_the_number_behind_their_text(archive):
    first = next(iter(boards(archive.table)))
    table = board_table(first.rows, "")
    means = [row.cells[table.columns.index("mean ± sd")] for row in table.rows]
    assert [cell.text for cell in means][:2] == ["1.000", "0.646 ± 0.104"]
    assert means[1].value == pytest.approx(0.64648)
    interval = table.rows[0].cells[table.columns.index("95 % interval")]
    assert table.rows[0].reference
    assert interval.value is None


def test_each_seed_has_its_row_and_no_table_is_wider_than_a_page(place):
    study = made_up(place, ["a"], 2)
    seeds = pd.DataFrame(
        [
            [trial.id, "mig", f"p{k}", "score", trial.seed + k / 100, ""]
            for trial in study.trials[:1]
            for k in range(11)
        ],
        columns=["id", "metric", "protocol", "key", "value", "skip"],
    )
    states = {study.trials[0].id: "finished", study.trials[1].id: "waiting"}
    one, two = seed_tables(study.trials, states, seeds)
    assert [len(table.columns) for table in (one, two)] == [3 + 6 + 1, 3 + 5 + 1]
    assert [cell.text for cell in two.rows[0].cells][:5] == ["a", "0", "finished", "0.060", "0.070"]
    assert [cell.text for cell in two.rows[1].cells][2:5] == ["waiting", "–", "–"]


def test_an_unfinished_study_says_what_is_missing(place):
    study = made_up(place, ["a", "b"], 3)
    for trial in study.trials[1:3]:
        place.record(trial.id).unlink()
    contents = gather(study, place)
    assert "a on dsprites-32: seeds 1, 2 waiting (2 of 3)." in contents.missing
    assert any(line.startswith("No floors and ceilings on dsprites-32") for line in contents.missing)
    assert contents.missing[0] in Page(page(contents)).text


def test_a_study_without_a_record_has_a_report(place):
    study = made_up(place, ["a"], 2)
    for trial in study.trials:
        place.record(trial.id).unlink()
    found = Page(page(gather(study, place)))
    assert "a on dsprites-32: seeds 0, 1 waiting (2 of 2)." in found.text
    assert "There are none yet." in found.text


def test_a_trial_that_lacks_a_score_is_no_finished_one(place):
    study = made_up(place, ["a"], 2)
    path = place.record(study.trials[0].id)
    known = read_record(path)
    write_record(path, known.model_copy(update={"scores": {"mig": known.scores["mig"]}}))
    contents = gather(study, place)
    assert "a on dsprites-32: seed 0 waiting (1 of 2); 1 trained, and lack a score." in contents.missing


def test_failures_are_told_as_why_tells_them_those_of_one_cause_together(place):
    study = made_up(place, ["a"], 4)
    for trial, cause in zip(study.trials, ["it broke", "it broke", "another thing"], strict=False):
        known = read_record(place.record(trial.id))
        changed = {"status": "failed", "cause": cause, "traceback": f"Traceback\n  of {trial.seed}", "scores": {}}
        write_record(place.record(trial.id), known.model_copy(update=changed))
    contents = gather(study, place)
    one, two = failures(contents)
    assert one.title == "a on dsprites-32 failed: it broke"
    assert [trial.seed for trial in one.trials] == [0, 1]
    assert "Traceback\n  of 0" in one.text
    assert two.title.endswith("another thing")
    assert dict(ground(contents))["Seeds"] == "1 a model. 3 failed or diverged; they are in no mean."


def test_of_a_record_alone_no_curves_are_claimed(place):
    """An archive's diverged trial has logged its losses, but elsewhere."""
    study = made_up(place, ["a"], 1)
    known = read_record(place.record(study.trials[0].id))
    write_record(
        place.record(known.id), known.model_copy(update={"status": "diverged", "cause": "a NaN", "scores": {}})
    )
    [failure] = failures(gather(study, place))
    assert failure.text.splitlines()[1:] == ["Its curves are not here."]


def test_settings_are_said_once_for_all_seeds(place):
    one, two = settings(gather(made_up(place, ["a", "b"], 3), place))
    assert (one.title, dict(one.about)["seeds"]) == ("a on dsprites-32", "0-2")
    assert dict(one.about)["numerics"] == "cpu, 1 thread, float32, eager"
    assert dict(one.about)["train, mean time"] == "1 min 00 s"
    assert two.fields == [("steps", "100"), ("lr", "0.001")]


def test_tables_that_lack_a_trial_are_made_anew(place):
    """An archive's leaderboard.csv is taken only where it has all that the records have."""
    folder = mini(place)
    scores = pd.read_csv(folder / "scores.csv")
    gone = scores["id"].iloc[0]
    scores[scores["id"] != gone].to_csv(folder / "scores.csv", index=False)
    contents = gather(read_study(place, "mini"), place)
    assert gone in set(contents.seeds["id"])
    assert any("No floors and ceilings on dsprites-32" in line for line in contents.missing)


def test_a_small_picture_is_kept_and_a_large_one_scaled_to_its_share(tmp_path):
    (tmp_path / "small.png").write_bytes(noise((20, 10)))
    (tmp_path / "large.png").write_bytes(noise((1600, 1200)))
    small, large = (scaled(tmp_path / f"{name}.png", 60_000, name) for name in ("small", "large"))
    assert base64.b64decode(small.uri.partition(",")[2]) == noise((20, 10))
    assert (small.width, small.height) == (20, 10)
    content = base64.b64decode(large.uri.partition(",")[2])
    assert 20_000 < len(content) <= 60_000
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, *image.size) == ("JPEG", large.width, large.height)
    assert large.width / large.height == pytest.approx(4 / 3, rel=0.02)
    assert share(MOST, 200) * 200 <= MOST


def test_a_damaged_picture_is_left_out(tmp_path):
    (tmp_path / "cut.png").write_bytes(noise()[:5000])
    assert scaled(tmp_path / "cut.png", 60_000, "") is None
    assert scaled(tmp_path / "cut.png", 1_000, "") is None


@pytest.mark.slow
def test_a_hundred_trials_fit_twenty_megabytes(place):
    """The worst there can be: pictures of noise, which no format makes smaller, and curves of all."""
    study = made_up(place, [f"model-{k}" for k in range(10)], 10)
    picture = noise()
    rows = "".join(f"{step},{step % 7},{step % 5}\n" for step in range(300))
    for trial in study.trials:
        for kind in KINDS:
            (place.trial(trial.id) / f"{kind}.png").write_bytes(picture)
        (place.trial(trial.id) / "curves.csv").write_text(f"step,loss/vae,elbo\n{rows}")
    path = place.results / "report.html"
    contents = gather(study, place)
    write_report(contents, path)
    assert len(contents.pictures) == 200
    assert 10e6 < path.stat().st_size < 20e6
    assert path.read_text().count("<figcaption>seed") == 200


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("=cmd|' /C calc'!A0", False), ("+1+cmd", False), ("-2+3", False), ("@SUM(1)", False), ("\t=1", False),
        ("  =1", False), ("＝1", False), ("\r\nx", False), ("-0.5", True), ("+1e-3", True), ("-.5", True),
        ("ib-gan", True), ("[-0.1, 0.2]", True), ("", True), ("beta-vae(beta=4)", True),
    ],
)  # fmt: skip
def test_text_that_a_spreadsheet_would_run_is_made_text(text, kept):
    plain = text.replace("\r", " ")
    assert inert(text) == (plain if kept else f"'{plain}")


@given(st.text())
def test_no_cell_begins_as_a_formula_unless_it_is_a_number(text):
    safe = inert(text)
    assert safe.endswith(text.replace("\r", " "))
    if safe.lstrip()[:1] in tuple("=+-@＝＋－＠"):
        float(safe)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_of_a_csv_stay_as_they_are(values):
    table = pd.DataFrame({"model": ["=1+1"] * len(values), "value": values})
    rows = list(csv.DictReader(io.StringIO(csv_text(table, digits=None))))
    assert [float(row["value"]) for row in rows] == values
    assert {row["model"] for row in rows} == {"'=1+1"}
    assert set(table["model"]) == {"=1+1"}, "the table itself is as it was"


def test_scores_of_ones_own_codes_are_written_as_safely(tmp_path):
    write_rows([Row("=evil", "robust", "score", -0.5, None, "higher")], tmp_path / "scores.csv")
    assert "'=evil,robust,score,-0.5,,higher" in (tmp_path / "scores.csv").read_text()
