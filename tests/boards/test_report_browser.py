"""A report as its reader meets it: opened from the disk in a real browser, by keyboard, on paper, on a phone."""

import csv
import io
import re
import shutil
from pathlib import Path

import pytest

from disentangle_bench.boards.report import gather
from disentangle_bench.boards.report_page import write_report
from disentangle_bench.studies.study import read_study
from disentangle_bench.trials.records import Workspace, read_record, write_record
from tests.boards.studies import KINDS, made_up, mini
from tests.boards.test_report import noise

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; on Debian: apt install chromium"),
]
SCRIPT = "<script>window.hacked = 1</script>"
DRAWN = """Promise.all([...document.images].map((image) => {
    image.loading = "eager";  // as if the reader had scrolled to it
    return image.decode();  // fails where it is no picture
})).then((images) => images.length)"""
EVIL = [SCRIPT, '"><img src=x onerror="window.hacked=1">', "=cmd|' /C calc'!A0", "$\\frac$"]


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    """The report of the repository's study mini, and of one whose models have names that would run if they could."""
    folder = tmp_path_factory.mktemp("reports")
    place = Workspace(folder / "results", folder / "data")
    mini(place)
    evil = made_up(place, EVIL, 3, name="evil")
    for trial in evil.trials[:2]:
        for kind in KINDS:
            (place.trial(trial.id) / f"{kind}.png").write_bytes(noise((200, 100)))
        (place.trial(trial.id) / "curves.csv").write_text("step,loss/vae,$x\n1,2,3\n2,1,4\n")
    failed = evil.trials[-1]
    known = read_record(place.record(failed.id))
    broken = {"status": "failed", "cause": SCRIPT, "traceback": SCRIPT, "scores": {}}
    write_record(place.record(failed.id), known.model_copy(update=broken))
    paths = {}
    for name in ("mini", "evil"):
        paths[name] = folder / f"{name}.html"
        write_report(gather(read_study(place, name), place), paths[name])
    return paths


@pytest.fixture
def opened(browser, reports):
    """Opens a report; whatever it asks for beside itself, or says on the console, fails the test."""
    contexts, said = [], []

    def opens(name, **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        own = reports[name].as_uri()
        page.on(
            "request", lambda request: request.url in (own, "data:,") or said.append(f"request: {request.url[:80]}")
        )
        page.goto(own)
        return page

    yield opens
    for context in contexts:
        context.close()
    assert not said


def column(page, table, number):
    """The texts of one column of the rows that are to be seen."""
    cells = page.locator(f"table:has(#{table}) tbody tr > :nth-child({number})")
    return [cell.inner_text() for cell in cells.all() if cell.is_visible()]


@pytest.mark.parametrize("name", ["mini", "evil"])
def test_it_opens_whole_and_asks_for_nothing(opened, name):
    page = opened(name)
    assert page.evaluate(DRAWN) > 1
    assert page.title() == f"{name}: report"


def test_tables_are_sorted_by_keyboard_and_missing_values_come_last(opened):
    page = opened("mini")
    before = column(page, "table-score-1", 3)
    head = page.locator("table:has(#table-score-1) thead th:nth-child(3)")
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    means = [float(text.split()[0]) for text in column(page, "table-score-1", 3)]
    assert means == sorted(means)
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, "table-score-1", 3) == before, "as the leaderboard was: best first"
    other = page.locator("table:has(#table-score-1) thead th:nth-child(1)")
    for direction in ("ascending", "descending"):
        other.get_by_role("button").click()
        assert other.get_attribute("aria-sort") == direction
        assert head.get_attribute("aria-sort") is None
        ranks = column(page, "table-score-1", 1)
        assert ranks[-2:] == ["", ""], "floor and ceiling have no rank"
        assert ranks[:-2] == sorted(ranks[:-2], reverse=direction == "descending")


def test_rows_are_chosen_by_text_and_by_value(opened):
    page = opened("mini")
    bar = page.locator("section[aria-labelledby=seeds] form")
    assert bar.locator("output").inner_text() == "80 rows", "40 trials in two tables"
    bar.get_by_label("Model").select_option("ib-gan")
    assert set(column(page, "table-seeds-1", 1)) == {"ib-gan"}
    assert bar.locator("output").inner_text() == "10 of 80 rows"
    bar.get_by_label("Model").select_option("")
    bar.get_by_label("Text").fill("VAE(steps")
    assert column(page, "table-seeds-1", 1) == ["vae(steps=0)"] * 5
    board = page.locator("section[aria-labelledby=leaderboard]")
    board.get_by_label("Score").select_option("mig · robust")
    assert [heading.inner_text() for heading in board.locator("h3").all() if heading.is_visible()] == [
        "mig · robust on dsprites-32, higher is better"
    ]
    board.get_by_label("Text").fill("factor")
    assert column(page, "table-score-4", 2) == ["oracle codes", "factor-vae", "random codes"], "its ends stay"
    assert board.locator("output").inner_text() == "1 of 64 rows"


def test_without_javascript_all_can_be_read_and_nothing_is_dead(opened):
    page = opened("mini", java_script_enabled=False)
    assert page.locator("button, input, select").count() == 0
    assert page.locator("tbody tr").count() > 100
    hidden = [part for part in page.locator("main section, main article").all() if not part.is_visible()]
    assert not hidden
    assert page.locator("h2").count() == 9


def test_names_that_would_run_do_nothing(opened):
    page = opened("evil")
    page.evaluate(DRAWN)
    assert page.evaluate("window.hacked") is None
    assert page.locator("script").count() == 1
    assert page.locator("[onerror], iframe, object").count() == 0
    for name in EVIL:
        assert name in column(page, "table-seeds-1", 1)
    assert SCRIPT in page.locator("pre").inner_text()


@pytest.mark.parametrize("policy", [True, False], ids=["with its policy", "without"])
def test_even_a_script_that_got_in_would_not_run(browser, reports, tmp_path, policy):
    """The page's policy alone: an escape that was forgotten somewhere would change nothing."""
    html = reports["evil"].read_text(encoding="utf-8")
    html = html.replace("</main>", f'{SCRIPT}<img src="https://example.invalid/x.png"></main>')
    path = tmp_path / "changed.html"
    path.write_text(html if policy else html.replace("Content-Security-Policy", "nothing"), encoding="utf-8")
    context = browser.new_context()
    context.route(re.compile("^https:"), lambda route: route.abort())  # what would leave the machine is stopped here
    page = context.new_page()
    with page.expect_event("requestfailed") as failed:
        page.goto(path.as_uri())
    assert page.evaluate("window.hacked") == (None if policy else 1)
    assert (failed.value.failure == "csp") == policy, "with it, the browser itself asks nobody"
    assert page.locator("thead button").count() > 0, "the page's own script runs"
    context.close()


def test_the_files_within_are_saved_and_no_cell_is_a_formula(opened, tmp_path):
    page = opened("evil", accept_downloads=True)
    names = ["leaderboard.csv", "scores.csv", "trials.csv"]
    for name in names:
        with page.expect_download() as saved:
            page.get_by_role("link", name=f"evil-{name}").click()
        saved.value.save_as(tmp_path / name)
        rows = list(csv.DictReader(io.StringIO((tmp_path / name).read_text(encoding="utf-8"))))
        assert {row["model"] for row in rows} >= {SCRIPT, "'=cmd|' /C calc'!A0"}
        assert not any(value.startswith("=") for row in rows for value in row.values())
    scores = list(csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text())))
    assert {float(row["value"]) for row in scores if row["model"] == SCRIPT and row["metric"] == "mig"} == {
        0.09, 0.0901, 0.0902
    }  # fmt: skip


def test_a_picture_grows_and_shrinks(opened):
    page = opened("evil")
    button = page.locator("[data-enlarge] button").first
    small = button.bounding_box()["width"]
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert button.bounding_box()["width"] > 2 * small
    button.click()
    assert button.bounding_box()["width"] == pytest.approx(small)


@pytest.mark.parametrize("name", ["mini", "evil"])
def test_on_a_phone_tables_scroll_and_the_page_does_not(opened, name):
    page = opened(name, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator(".scroll:has(#table-score-1)")
    assert box.evaluate("(box) => box.scrollWidth > box.clientWidth")


def test_on_paper_there_are_no_controls_and_nothing_is_cut(opened):
    page = opened("mini")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert not page.locator("form").first.is_visible()
    page.set_viewport_size({"width": 690, "height": 1000})  # what A4 has between its margins
    boxes = "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1).length"
    assert page.evaluate(boxes) == 0
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) > 3
