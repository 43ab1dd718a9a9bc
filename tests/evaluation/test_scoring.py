"""Arrays that somebody brings: words among numbers, pickles, bombs, and files that are no files."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from disentangle_bench.errors import UserError
from disentangle_bench.evaluation import code_files, scoring
from disentangle_bench.evaluation.code_files import read_table
from disentangle_bench.metrics import score

CODES = np.random.default_rng(0).standard_normal((6, 2))
FACTORS = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])


class Explosive:
    """Whoever unpickles it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (np.array([["red", "1"]] * 6), "factors must be real numbers, but column 0 holds 'red'"),
        (np.array([[1, "small"]] * 6, dtype=object), "factors must be real numbers, but column 1 holds 'small'"),
        (np.array([[1, None]] * 6), "factors must be real numbers, but column 1 holds 'None'"),
        (np.array([[1, 2.5]] * 6), "factors must be whole numbers: .*, and column 1 holds others"),
        (np.array([[np.nan, 1]] * 6), "factors must be whole numbers: .*, and column 0 holds others"),
        (np.array([[1e300, 1]] * 6), "factors must be whole numbers: .*, and column 0 holds others"),
    ],
)
def test_what_is_no_number_names_the_column_and_the_next_step(factors: np.ndarray, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        score("mig", CODES, factors)
    assert "Number its values: numpy.unique(factors[:, " in str(caught.value)
    column = int(str(caught.value).partition("factors[:, ")[2][0])
    if factors.dtype.kind in "Uf":  # the advice, taken
        numbered = np.stack([np.unique(factors[:, k], return_inverse=True)[1] for k in range(2)], axis=1)
        assert "skip" in score("mig", CODES, numbered)
        assert numbered[:, column].max() == 0


def test_codes_that_are_no_numbers() -> None:
    with pytest.raises(UserError, match=r"codes must be real numbers, but column 1 holds 'b'\. Repair or drop"):
        score("mig", np.array([[0.5, "b"]] * 6, dtype=object), FACTORS)
    with pytest.raises(UserError, match=r"their type is object; convert them: codes\.astype\(float\)"):
        score("mig", CODES.astype(object), FACTORS)


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_pickles_are_not_opened(tmp_path: Path, form: str) -> None:
    """Neither those that are asked for nor those beside them; and nobody is told to allow them."""
    bad = np.array([[Explosive(tmp_path / "exploded")]] * 6)
    codes, factors = tmp_path / f"codes.{form}", tmp_path / f"factors.{form}"
    for path, array in ((codes, CODES), (factors, bad)):
        np.save(path, array) if form == "npy" else np.savez(path, array)
    with pytest.raises(
        UserError, match=rf"--factors .*factors\.{form} holds Python objects, not numbers, .*numpy\.save"
    ):
        read_table(codes, factors)
    np.savez(tmp_path / "both.npz", codes=CODES, factors=FACTORS, metadata=bad)
    assert np.array_equal(read_table(tmp_path / "both.npz", None).factors, FACTORS)
    assert not (tmp_path / "exploded").exists()


def test_an_array_that_unpacks_to_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that asks for 8 TB; and zeros, here of a few megabytes, that were packed to next to nothing."""
    assert code_files.LARGE == 1 << 30
    monkeypatch.setattr(code_files, "LARGE", 1 << 20)
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 2))) | {"shape": (1 << 39, 2)}
    with (tmp_path / "huge.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match=r"huge\.npy can't be read as numbers"):
        read_table(tmp_path / "huge.npy", tmp_path / "huge.npy")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("codes.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header | {"shape": (1 << 20, 2)})
            member.write(bytes(1 << 24))
        archive.writestr("factors.npy", b"")
    with pytest.raises(UserError, match=r"bomb\.npz unpacks to 17 MB, more than 200 times its size; .* numpy\.save"):
        read_table(tmp_path / "bomb.npz", None)


def test_codes_that_are_no_file_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "codes.npz")
    with pytest.raises(UserError, match=r"--codes .*codes\.npz is a FIFO .*; give a file \.npy"):
        read_table(tmp_path / "codes.npz", None)
    with pytest.raises(UserError, match=r"--codes /dev/zero is a device"):
        read_table(Path("/dev/zero"), Path("/dev/zero"))


def test_no_spreadsheet_runs_a_reason_to_skip(tmp_path: Path) -> None:
    rows = [scoring.Row("mig", "robust", "skip", "=1+1"), scoring.Row("mig", "robust", "score", -0.5)]
    scoring.write_rows(rows, tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text().splitlines()[1:] == ["mig,robust,skip,'=1+1,,", "mig,robust,score,-0.5,,"]
