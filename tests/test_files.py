"""Files written whole or not at all, and a sentence where that can't be."""

import pytest

from disentangle_bench.errors import UserError
from disentangle_bench.files import copy_file, write_file


@pytest.fixture(params=["write", "copy"])
def put(request, tmp_path):
    """Writes `content` to a path, or copies a file that holds it there."""
    source = tmp_path / "source"
    source.write_text("content")
    return {"write": lambda path: write_file(path, "content"), "copy": lambda path: copy_file(source, path)}[
        request.param
    ]


def test_a_file_is_replaced_whole(put, tmp_path):
    path = tmp_path / "folder" / "file"
    put(path)
    assert path.read_text() == "content"
    path.write_text("something longer than it")
    put(path)
    assert path.read_text() == "content"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["a" * 250, "a" * 300, "in/a/file/below"])
def test_a_name_that_cannot_be_is_told_and_leaves_nothing(put, tmp_path, name):
    (tmp_path / "in").write_text("a file, not a folder")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="can't be"):
        put(tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before
