"""The harness itself: it runs what a reader would run, and a fault in a page is a failure."""

from pathlib import Path

import pytest

from disentangle_bench import __version__
from tests.docs.blocks import Malformed, blocks, commands, is_slow
from tests.docs.running import Failed, place, run_blocks


def run(page: str, folder: Path) -> Path:
    """Run a page's blocks; the folder in which that was done."""
    where, environment = place(folder)
    run_blocks(blocks(page), "page.md", where, environment)
    return where


def fenced(language: str, text: str, marker: str = "") -> str:
    return f"Some text.\n\n{marker}\n```{language}\n{text}\n```\n"


def test_blocks_run_in_order_in_one_folder(tmp_path):
    page = (
        fenced("bash", "echo one > made")
        + fenced("sh", "cat made >> all")
        + fenced("python", "print(open('all').read())")
    )
    assert (run(page, tmp_path) / "all").read_text() == "one\n"


def test_of_a_console_the_commands_are_run_and_the_output_is_for_the_reader():
    console = "$ echo one \\\n>   two\none two\n$ echo three\nthree\n"
    assert list(commands(console)) == ["echo one \\", "  two", "echo three"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("bash", "false"),
        ("bash", "false\ntrue"),
        ("bash", "false | cat"),
        ("console", "$ cat no-such-file\nwhat it says"),
        ("console", "$ false\n$ true"),
        ("python", "raise SystemExit(1)"),
        ("python", "from disentangle_bench import no_such_name"),
    ],
)
def test_a_block_that_fails_fails(language, text, tmp_path):
    with pytest.raises(Failed, match=r"page\.md, line 4: status 1, expected 0"):
        run(fenced(language, text), tmp_path)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_wrong_exit_status_fails(status, tmp_path):
    page = fenced("bash", "exit 2", f"<!-- exits: {status} -->")
    with pytest.raises(Failed, match=f"status 2, expected {status}"):
        run(page, tmp_path)


def test_the_expected_exit_status_passes(tmp_path):
    run(fenced("bash", "exit 2", "<!-- exits: 2 -->"), tmp_path)


def test_what_a_failing_block_printed_is_shown(tmp_path):
    with pytest.raises(Failed, match=r"(?s)echo seen; exit 1.*it printed.*seen"):
        run(fenced("bash", "echo seen; exit 1"), tmp_path)


def test_a_block_with_a_title_is_written_as_that_file_and_not_run(tmp_path):
    page = fenced('python title="mine/model.py"', "raise SystemExit(1)") + fenced(
        'yaml title="study.yaml"', "models: [gan]"
    )
    where = run(page + fenced("bash", "test -f mine/model.py -a -f study.yaml"), tmp_path)
    assert (where / "study.yaml").read_text() == "models: [gan]\n"


@pytest.mark.parametrize("name", ["/tmp/outside.py", "../outside.py"])
def test_a_file_outside_the_pages_folder_is_refused(name, tmp_path):
    with pytest.raises(Malformed, match="outside the page's folder"):
        run(fenced(f'python title="{name}"', ""), tmp_path)


def test_the_title_of_a_command_is_for_the_reader_only(tmp_path):
    assert (run(fenced('bash title="Try it"', "touch made"), tmp_path) / "made").exists()


def test_a_block_that_is_not_run_is_neither_run_nor_written(tmp_path):
    page = fenced("bash", "touch made", "<!-- not run: it needs\n     a cluster -->")
    page += fenced('yaml title="made"', "a: 1", "<!-- not run: for show -->")
    assert not (run(page, tmp_path) / "made").exists()
    assert blocks(page)[0].not_run == "it needs a cluster"


@pytest.mark.parametrize("language", ["", "text", "yaml", "csv", "diff"])
def test_blocks_of_other_languages_are_not_run(language, tmp_path):
    run(fenced(language, "exit 1"), tmp_path)


def test_arguments_of_the_marker_are_appended_to_the_suites_commands_alone(tmp_path):
    page = fenced("bash", "disentangle-bench > said\necho --version", "<!-- run with: --version -->")
    assert (run(page, tmp_path) / "said").read_text() == f"disentangle-bench {__version__}\n"


def test_appended_arguments_may_be_quoted(tmp_path):
    page = fenced("bash", "disentangle-bench datasets verify 2> said", '<!-- run with: "a name" -->\n<!-- exits: 2 -->')
    assert "'a name'" in (run(page, tmp_path) / "said").read_text()


def test_a_page_sees_no_ones_data_or_results_but_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("DISENTANGLE_BENCH_RESULTS", "elsewhere")
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", "elsewhere")
    run(fenced("bash", 'test -z "$DISENTANGLE_BENCH_RESULTS$DISENTANGLE_BENCH_DATA"'), tmp_path)


def test_prepared_data_are_there_and_what_a_page_prepares_is_not_left_behind(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "dsprites.h5").write_text("prepared")
    where, environment = place(tmp_path, data)
    run_blocks(
        blocks(fenced("bash", "grep prepared datasets/dsprites.h5; touch datasets/mine.h5")), "p", where, environment
    )
    assert [path.name for path in data.iterdir()] == ["dsprites.h5"]


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ("<!-- not run -->", "needs what follows"),
        ("<!-- not run: -->", "needs what follows"),
        ("<!-- run with: -->", "needs what follows"),
        ("<!-- run with: --local -->", "there is none"),
        ("<!-- exits: two -->", "no exit status"),
        ("<!-- dont run: a typing error -->", "no marker"),
        ("<!-- not run: a line between -->\n", "not on the line before a block"),
    ],
)
def test_markers_that_say_nothing_are_refused(marker, complaint):
    with pytest.raises(Malformed, match=complaint):
        blocks(fenced("bash", "true", marker))


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("<!-- not run: no block follows -->\n", "without a block"),
        ("```bash\ntrue\n", "never closed"),
        ("<!-- never closed\n", "never closed"),
        (fenced("py", "1"), "call 'py' 'python'"),
        (fenced("console", "disentangle-bench run mini"), "nothing would be run"),
        (fenced("yaml", "a: 1", "<!-- exits: 1 -->"), "for blocks that are run"),
        ("\n" * 9 + "<!-- slow page -->\n", "page's top"),
    ],
)
def test_pages_that_would_pass_unread_are_refused(page, complaint):
    with pytest.raises(Malformed, match=complaint):
        blocks(page)


def test_a_page_is_slow_where_its_top_says_so():
    assert is_slow("# A title\n\n<!-- slow page -->\n")
    assert not is_slow("# A title\n")


def test_a_comment_apart_from_a_block_is_a_comment():
    assert len(blocks("<!-- a note -->\n\n```bash\ntrue\n```\n")) == 1


def test_a_block_within_a_list_is_read_without_its_indentation():
    (block,) = blocks("1. First:\n\n    ```python\n    if True:\n        pass\n    ```\n")
    assert block.text == "if True:\n    pass\n"


def test_a_longer_fence_holds_a_shorter_one():
    (block,) = blocks("````text\n```bash\nfalse\n```\n````\n")
    assert (block.language, block.text) == ("text", "```bash\nfalse\n```\n")
