"""Codes from files: every format gives the same numbers, and what is something else gets a sentence."""

import io
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.code_files import read_array, read_table

CODES = np.random.default_rng(0).standard_normal((6, 3))
FACTORS = np.stack(np.unravel_index(np.arange(6), (3, 2)), axis=1)
FRAME = pd.DataFrame(CODES, columns=["a", "b", "c"])

WRITERS: dict[str, Callable[[Path], object]] = {
    "a.npy": lambda path: np.save(path, CODES),
    "a.npz": lambda path: np.savez(path, codes=CODES, other=np.ones(2)),
    "alone.npz": lambda path: np.savez_compressed(path, anything=CODES),
    "plain.csv": lambda path: np.savetxt(path, CODES, delimiter=","),
    "named.csv": lambda path: FRAME.to_csv(path, index=False),
    "numbered.csv": lambda path: pd.DataFrame(CODES).to_csv(path, index=False),
    "marked.csv": lambda path: FRAME.to_csv(path, index=False, encoding="utf-8-sig"),
    "marked-numbers.csv": lambda path: path.write_bytes(
        b"\xef\xbb\xbf" + FRAME.to_csv(index=False, header=False).encode()
    ),
    "a.parquet": lambda path: FRAME.to_parquet(path),
    "a.pt": lambda path: torch.save(torch.from_numpy(CODES).requires_grad_(), path),
    "named.pt": lambda path: torch.save({"codes": torch.from_numpy(CODES), "factors": torch.ones(6, 2)}, path),
    "old.pth": lambda path: torch.save(torch.from_numpy(CODES), path, _use_new_zipfile_serialization=False),
    "torch-by-content.bin": lambda path: torch.save(torch.from_numpy(CODES), path),
    "numpy-by-content": lambda path: path.write_bytes(npy(CODES)),
}


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_array(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    np.testing.assert_array_equal(read_array(tmp_path / name, "codes"), CODES)


def test_half_precision_that_numpy_lacks_is_float32(tmp_path: Path) -> None:
    torch.save(torch.full((2, 2), 0.5, dtype=torch.bfloat16), tmp_path / "a.pt")
    array = read_array(tmp_path / "a.pt", "codes")
    assert (array.dtype, array.tolist()) == (np.float32, [[0.5, 0.5], [0.5, 0.5]])


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FILES = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 3)), elements=NUMBERS)


@settings(max_examples=40)
@given(FILES, st.booleans())
def test_a_csv_gives_back_each_number_to_its_last_digit(array: np.ndarray, named: bool) -> None:
    lines = [",".join(f"code {k}" for k in range(array.shape[1]))] if named else []
    lines += [",".join(map(repr, row)) for row in array.tolist()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text("\n".join(lines))
        np.testing.assert_array_equal(read_array(path, "codes"), array)


def test_factors_that_begin_with_0_1_are_no_header(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("0,1\n1,0\n2,1\n")
    assert read_array(tmp_path / "f.csv", "factors").tolist() == [[0, 1], [1, 0], [2, 1]]


@pytest.mark.parametrize("columns", [None, ["shape", "size"]])
def test_what_pandas_writes_above_columns_without_names_is_no_row(columns: list[str] | None, tmp_path: Path) -> None:
    pd.DataFrame(CODES[:, :1]).to_csv(tmp_path / "c.csv", index=False)
    pd.DataFrame(FACTORS, columns=columns).to_csv(tmp_path / "f.csv", index=False)
    table = read_table(tmp_path / "c.csv", tmp_path / "f.csv")
    np.testing.assert_array_equal(table.codes, CODES[:, :1])
    np.testing.assert_array_equal(table.factors, FACTORS)
    pd.DataFrame(FACTORS).to_csv(tmp_path / "whole.csv", index=False)
    np.testing.assert_array_equal(read_array(tmp_path / "whole.csv", "codes"), FACTORS)


@pytest.mark.parametrize("name", ["both.npz", "both.pt"])
def test_one_file_may_hold_codes_and_factors(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, codes=CODES, factors=FACTORS)
    else:
        torch.save({"codes": torch.from_numpy(CODES), "factors": torch.from_numpy(FACTORS)}, path)
    table = read_table(path, None)
    np.testing.assert_array_equal(table.codes, CODES)
    np.testing.assert_array_equal(table.factors, FACTORS)


MISTAKES: dict[str, tuple[bytes | Callable[[Path], object], str]] = {
    "objects.npy": (npy(np.array([CODES, "a"], dtype=object), True), r"holds Python objects.*can run code"),
    "text.npy": (npy(np.array([["a"]])), r"holds <U1, not real numbers"),
    "complex.npy": (npy(CODES.astype(complex)), "holds complex128, not real numbers"),
    "flat.npy": (npy(CODES[:, 0]), r"has the shape \(6,\).*array.reshape\(-1, 1\)"),
    "cube.npy": (npy(CODES[None]), r"has the shape \(1, 6, 3\), not \(rows, columns\)"),
    "empty.npy": (npy(CODES[:0]), r"has the shape \(0, 3\)"),
    "nan.npy": (npy(np.array([[0.0, 1.0], [2.0, np.nan]])), "holds nan in row 1, column 1"),
    "infinite.npy": (npy(np.array([[0.0, np.inf]])), "holds inf in row 0, column 1"),
    "cut.npy": (npy(CODES)[:-9], "can't be read as numbers"),
    "cut.npz": (b"PK\x03\x04 and no more", "can't be read as numbers"),
    "pickle.pkl": (pickle.dumps(CODES), "is a pickle, which can run code"),
    "pickle.npy": (pickle.dumps(CODES), "is a pickle, which can run code"),
    "more.pt": (lambda path: torch.save({"codes": CODES, "model": Path("a")}, path), "holds more than tensors"),
    "cut.pt": (b"PK\x03\x04 and no more", "can't be read as numbers"),
    "none.pt": (b"", "can't be read as numbers"),
    "weights.pt": (
        lambda path: torch.save(torch.nn.Linear(2, 2).state_dict(), path),
        "weight, bias, but none is named",
    ),
    "list.pt": (lambda path: torch.save({"codes": [1.0, 2.0]}, path), "holds a list; give an array or a tensor"),
    "program.pt": (lambda path: torch.jit.script(torch.nn.ReLU()).save(str(path)), "is a program and no array"),
    "data.h5": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    "words.csv": (b"a,b\n1,2\n3,x\n", "can't be read as numbers .*'x'.*; give numbers alone"),
    "hole.csv": (b"a,b\n1,2\n3,\n", "can't be read as numbers .*row 1, column 2"),
    "semicolons.csv": (b"1;2\n3;4\n", "separated by commas"),
    "index.csv": (FRAME.to_csv().encode(), "its first column has no name.*index=False"),
    "numbers.csv": (pd.DataFrame(CODES).to_csv().encode(), "its first column has no name.*index=False"),
    "ragged.csv": (b"1,2\n3,4,5\n", "can't be read as numbers"),
    "empty.csv": (b"", "no row of numbers is in it"),
    "header.csv": (b"a,b\n", "no row of numbers is in it"),
    "image.csv": (b"\xff\xd8\xff\xe0", "can't be read as numbers"),
    "words.parquet": (lambda path: FRAME.assign(d="x").to_parquet(path), "column 'd' holds .*, not numbers"),
    "cut.parquet": (b"PAR1 and no more", "can't be read as numbers"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_something_else_is_told(name: str, tmp_path: Path) -> None:
    content, sentence = MISTAKES[name]
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(UserError, match=sentence) as caught:
        read_array(path, "codes")
    assert name in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_nothing_of_a_pickle_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    for name in ("a.npy", "a.pt", "a.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap()))
    np.save(tmp_path / "b.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    torch.save(Trap(), tmp_path / "b.pt")
    for path in (*tmp_path.glob("a.*"), *tmp_path.glob("b.*")):
        with pytest.raises(UserError):
            read_array(path, "codes")
    assert not (tmp_path / "sprung").exists()


def test_codes_of_a_dataset_need_its_rows_and_no_factors(place, tmp_path: Path) -> None:
    from disentangle_bench.datasets import load

    tiny = load("tiny", place.data)
    np.save(tmp_path / "c.npy", np.ones((96, 2)))
    np.testing.assert_array_equal(read_table(tmp_path / "c.npy", None, tiny).factors, tiny.factors(np.arange(96)))
    np.save(tmp_path / "c.npy", np.ones((95, 2)))
    with pytest.raises(UserError, match=r"has 95 rows, but tiny is scored on 96 images: give a row for each"):
        read_table(tmp_path / "c.npy", None, tiny)
