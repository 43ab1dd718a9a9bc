"""YAML from anyone: no objects, no stack that ends, no aliases that stand for the world."""

import time
from pathlib import Path

import pytest
import yaml

from disentangle_bench.errors import UserError
from disentangle_bench.studies import plain_yaml
from disentangle_bench.studies.config import apply_setting, read_study_file


def laughs(levels: int) -> str:
    """Nine aliases of nine aliases, so many times over."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join([*lines, f"models: *a{levels - 1}"])


def chain(length: int) -> str:
    """Lists within lists, each of which is written on a line of its own."""
    lines = [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, length)]
    return "\n".join(["a0: &a0 [x]", *lines, f"models: *a{length - 1}"])


def test_what_people_write_is_read() -> None:
    assert plain_yaml.load("a: &a [1, 2]\nb: *a\nc: {<<: {x: 1}, y: [[2]]}") == {
        "a": [1, 2], "b": [1, 2], "c": {"x": 1, "y": [[2]]},
    }  # fmt: skip
    assert plain_yaml.load("[" * 90 + "]" * 90)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,  # which ended the process
        "[" * 3000 + "]" * 3000,
        "{a: " * 3000 + "x" + "}" * 3000,
        "- " * 5000 + "x",
        "? " * 5000 + "x",
        "\n".join(" " * i + "a:" for i in range(500)),
        laughs(12),
        chain(5000),
        "a: &a [*a]",
        "a: &a {x: *a}",
    ],
    ids=lambda text: text[:20],
)
def test_too_much_is_an_error_within_a_second(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(yaml.YAMLError, match="deep in one another"):
        plain_yaml.load(text)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir", "!!python/name:os.mkdir", "!!python/object/new:os.mkdir"]
)
def test_a_tag_makes_no_object(tag: str, tmp_path: Path) -> None:
    value = f'{tag} ["{tmp_path / "made"}"]'
    (tmp_path / "study.yaml").write_text(f"models: [gan]\nseeds: {value}\n")
    with pytest.raises(UserError, match=r"study file .*study\.yaml can't be read as YAML"):
        read_study_file(str(tmp_path / "study.yaml"))
    with pytest.raises(UserError, match=r"is not a YAML value"):
        apply_setting({}, f"steps={value}")
    assert not (tmp_path / "made").exists()
