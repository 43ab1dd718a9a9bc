"""Codes and factors from the files that people have, and a sentence on what is needed where a file is something else.

What a file is shows in its first bytes; a name decides only between text and what torch wrote. Nothing is unpickled: a
pickle can run code when it is read.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from disentangle_bench import display
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.datasets.regular import irregular
from disentangle_bench.errors import UserError

FORMATS = ".npy, .npz, .csv, .parquet or .pt"
TORCH = (".pt", ".pth", ".pt2")
NUMPY, ZIP, PARQUET, HDF5, PICKLE = b"\x93NUMPY", b"PK\x03\x04", b"PAR1", b"\x89HDF", b"\x80"
NO_PICKLE = "which can run code when it is read, so it is not; write numbers: numpy.save(path, array)"

LARGE, PACKED = 1 << 30, 200  # bytes of an array that may be packed in any way, and how many times beyond that

Arrays = Mapping[str, Any]  # by name; "" is the name of an array that has none


def read_table(codes: Path, factors: Path | None, dataset: Dataset | None = None) -> CodeTable:
    """Codes (N, D) beside their factors (N, K), from files in any of `FORMATS`.

    factors: a file of whole numbers. None: the codes' own file holds them, an .npz or .pt under the names `codes` and
    `factors`; or they are a dataset's.
    dataset: the codes are those of the images that it is evaluated on, in that order.

    Raises `UserError`, with the file and what it should hold, for all that is something else.
    """
    if dataset is not None:
        count = len(dataset.evaluation())
        array = without_numbering(read_array(codes, "codes"), count)
        if len(array) != count:
            raise UserError(
                f"--codes {codes} has {len(array):,} rows, but {dataset.name} is scored on {count:,} images: give a "
                f'row for each, in the order of disentangle_bench.datasets.load("{dataset.name}").evaluation().'
            )
        return CodeTable.of(dataset, array)
    if factors is None and kind_of(codes, "codes") not in ("npz", "torch"):
        raise UserError(
            f"--factors is missing: {codes} holds codes alone; give a file of factors, or the --dataset they are of."
        )
    rows, values = read_array(codes, "codes"), read_array(factors or codes, "factors", shared=factors is None)
    return CodeTable(without_numbering(rows, len(values)), without_numbering(values, len(rows)))


def read_array(path: Path, name: str, shared: bool = False) -> np.ndarray:
    """One array (rows, columns) of finite numbers from a file; `UserError` where it holds none.

    name: `codes` or `factors`, the option that gave the path. shared: the file must tell the array by its name, as it
    holds another, too.
    """
    arrays = READERS[kind_of(path, name)](path, name)
    if name in arrays:
        return checked(arrays[name], path, name)
    if len(arrays) == 1 and not shared:
        return checked(next(iter(arrays.values())), path, name)
    names = [key or "one array without a name" for key in arrays] or ["no arrays"]
    found = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    raise UserError(f"{path} holds {found}, but none is named '{name}'.")


def kind_of(path: Path, name: str) -> str:
    """Which of `READERS` a file is for; `UserError` where it can't be opened, or is for none of them."""
    try:
        if kind := irregular(path):
            raise UserError(f"--{name} {path} is {kind}; give a file {FORMATS}.")
        with path.open("rb") as file:
            start = file.read(8)
    except FileNotFoundError as error:
        raise UserError(f"--{name} {path}: there is no such file.") from error
    except OSError as error:
        raise UserError(f"--{name} {path} can't be read ({error.strerror}); give a file {FORMATS}.") from error
    if start.startswith(ZIP):
        kind = kind_of_zip(path)
        if kind in ("torchscript", "exported"):
            raise UserError(
                f"--{name} {path} is a program and no array; an encoder is given by --encoder {path} --dataset NAME."
            )
        return kind
    if start.startswith(HDF5):
        raise UserError(f"--{name} {path} is an HDF5 file; write its array of {name} as a file {FORMATS}.")
    if path.suffix in TORCH:
        return "torch"
    if start.startswith(PICKLE):
        raise UserError(f"--{name} {path} is a pickle, {NO_PICKLE}.")
    if start.startswith(PARQUET):
        return "parquet"
    return "npy" if start.startswith(NUMPY) else "csv"


def kind_of_zip(path: Path) -> str:
    """What a zip is: `npz`; `torch`, as torch.save writes it; `torchscript` or `exported`, a program of torch."""
    try:
        inside = [entry.partition("/")[2] for entry in zipfile.ZipFile(path).namelist()]
    except zipfile.BadZipFile:  # cut off: its reader says so
        return "torch" if path.suffix in TORCH else "npz"
    if "archive_format" in inside:
        return "exported"
    if "constants.pkl" in inside:
        return "torchscript"
    return "torch" if "data.pkl" in inside else "npz"


def read_numpy(path: Path, name: str) -> Arrays:
    """The arrays of an .npz, or the one of an .npy."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"": content}
        with content:
            refuse_a_bomb(path, sum(member.file_size for member in content.zip.infolist()))
            wanted = [name] if name in content.files else content.files if len(content.files) == 1 else []
            return {each: content[each] if each in wanted else None for each in content.files}  # what is beside stays
    except UserError:
        raise
    except (ValueError, EOFError, OSError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise UserError(
                f"--{name} {path} holds Python objects, not numbers, in a pickle, {NO_PICKLE}, of an array "
                "(rows, columns) such as numpy.stack(list) makes."
            ) from error
        raise not_readable(path, name, error) from error


def refuse_a_bomb(path: Path, size: int) -> None:
    """`UserError` for an archive whose content, of `size` bytes, is large and hundreds of times larger than itself."""
    if size > max(LARGE, PACKED * path.stat().st_size):
        raise UserError(
            f"{path} unpacks to {display.size(size)}, more than {PACKED} times its size; if that is as it should be, "
            "save the arrays with numpy.save."
        )


def read_csv(path: Path, name: str) -> Arrays:
    """The one array of comma-separated numbers, with a row of names above them or without."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = [cell.strip(' "\n') for cell in next((line for line in file if line.strip()), "").split(",")]
            columns = [str(k) for k in range(len(first))]
            if first[0] == "" and len(first) > 1 and (first[1:] == columns[:-1] or not all(map(is_number, first[1:]))):
                raise UserError(
                    f"--{name} {path}: its first column has no name, so it seems to be a table's row numbers; write it "
                    "without them, as pandas does with index=False."
                )
            if all(is_number(cell) or not cell for cell in first):  # numbers from the first line on
                file.seek(0)
            with warnings.catch_warnings(action="ignore"):  # that it is empty
                numbers = np.loadtxt(file, delimiter=",", ndmin=2, comments=None, quotechar='"')
            if not numbers.size:
                raise ValueError("no row of numbers is in it")
    except UserError:
        raise
    except (ValueError, OSError) as error:
        raise UserError(
            f"--{name} {path} can't be read as numbers ({short(error)}); give numbers alone, separated by commas, with "
            f"one row of names above them or none, or a file {FORMATS}."
        ) from error
    whole = np.array_equal(numbers, numbers.round())
    if name == "codes" and first == columns and (len(first) > 1 or not whole):  # names; factors may well begin so
        numbers = numbers[1:]
    return {"": numbers}


def without_numbering(array: np.ndarray, rows: int) -> np.ndarray:
    """An array (N, D) that should have so many rows, without the one too many that numbers its columns: 0, 1, 2, ...

    pandas writes such a row above an array whose columns have no names.
    """
    numbered = len(array) == rows + 1 and np.array_equal(array[0], np.arange(array.shape[1]))
    return array[1:] if numbered else array


def is_number(cell: str) -> bool:
    """Whether a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_parquet(path: Path, name: str) -> Arrays:
    """The one array of a Parquet table of numbers. pandas reads it by pyarrow, which comes along with ray[tune]."""
    import pandas as pd

    try:
        table = pd.read_parquet(path, engine="pyarrow")
    except ImportError as error:
        raise UserError(f"--{name} {path}: a Parquet file needs pyarrow; pip install pyarrow.") from error
    except (ValueError, OSError) as error:
        raise not_readable(path, name, error) from error
    for column in table:
        if table[column].dtype.kind not in "biuf":
            raise UserError(
                f"--{name} {path}: column '{column}' holds {table[column].dtype}, not numbers; give one column of "
                f"numbers for each of the {name}' dimensions."
            )
    return {"": table.to_numpy()}


def read_torch(path: Path, name: str) -> Arrays:
    """The tensors of what `torch.save` wrote of one, or of a dict of them."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"--{name} {path} holds more than tensors, in a pickle, {NO_PICKLE}, or torch.save(tensor, path)."
        ) from error
    except (RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise not_readable(path, name, error) from error
    tensors = content if isinstance(content, Mapping) else {"": content}
    return {str(key): as_array(value) for key, value in tensors.items()}


def as_array(value: Any) -> Any:
    """A tensor as an array, with what numpy has no type for as float32; all else as it is."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().to_dense() if value.layout != torch.strided else value.detach()
    return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()


def checked(value: Any, path: Path, name: str) -> np.ndarray:
    """The value, which must be an array (rows, columns) of finite real numbers; else `UserError`."""
    where = f"--{name} {path}"
    if not isinstance(value, np.ndarray):
        raise UserError(f"{where} holds a {type(value).__name__}; give an array or a tensor of shape (rows, columns).")
    if value.dtype.kind not in "biuf":
        raise UserError(f"{where} holds {value.dtype}, not real numbers; give floats, such as float32.")
    if value.ndim != 2 or not value.size:
        hint = "; one column is (rows, 1): array.reshape(-1, 1)" if value.ndim == 1 else ""
        raise UserError(f"{where} has the shape {value.shape}, not (rows, columns), a row for each image{hint}.")
    wrong = np.argwhere(~np.isfinite(value))  # (count, 2)
    if len(wrong):
        row, column = wrong[0]
        raise UserError(
            f"{where} holds {value[row, column]} in row {row}, column {column} (and {len(wrong) - 1:,} more that are "
            "not finite); every code needs a finite number."
            if name == "codes"
            else f"{where} holds {value[row, column]} in row {row}, column {column}; factors must be whole numbers."
        )
    return value


def not_readable(path: Path, name: str, error: Exception) -> UserError:
    """The error for a file that is damaged, or of no format that is read here."""
    return UserError(f"--{name} {path} can't be read as numbers ({short(error)}); give a file {FORMATS}.")


def short(error: Exception) -> str:
    """What an error says, in a line that is not too long."""
    return " ".join(str(error).split())[:100] or type(error).__name__


READERS: Mapping[str, Callable[[Path, str], Arrays]] = {
    "npy": read_numpy,
    "npz": read_numpy,
    "csv": read_csv,
    "parquet": read_parquet,
    "torch": read_torch,
}
