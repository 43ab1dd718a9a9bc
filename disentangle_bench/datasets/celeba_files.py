"""CelebA's files: where they are, and what the lists among them say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from disentangle_bench.datasets.download import Remote, check
from disentangle_bench.datasets.regular import check_regular
from disentangle_bench.datasets.sources import locate, only
from disentangle_bench.datasets.trees import Tree
from disentangle_bench.errors import UserError

# The authors give the files out after their terms are accepted, so none of them has an address here.
IMAGES = Remote("img_align_celeba.zip", (), "md5:00d2c5bc6d35e252742224ab0c1e8fcb", 1_443_490_838)
LIST = Remote("list_attr_celeba.txt", (), "md5:75e246fa4810816ffd6ee81facbd244c", 26_721_026)
PARTITION = Remote("list_eval_partition.txt", (), "md5:d32c9cbf5e040fd4025c592c306e6668")
HOME = "mmlab.ie.cuhk.edu.hk/projects/CelebA.html"

PARTS = ("train", "valid", "test")  # 0, 1 and 2 in the partition list
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling",
    "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)  # fmt: skip


def find(files: tuple[Remote, Remote, Remote], root: Path, source: Path | None, name: str) -> tuple[Path, Path, Path]:
    """The images (an archive or a folder), the attributes' list and the partition list, each checked.

    They lie side by side or in the official folders Img, Anno and Eval: under `root`, `root/celeba`, or at `source`,
    which is their folder or the images among them. The lists may be the .csv of Kaggle's copy, for which no checksum is
    published. name: the dataset's, for the message.
    Raises `UserError` where one is missing or is not the official file.
    """
    images, *lists = files
    unpacked = images.file_name.removesuffix(".zip")
    names = (images.file_name, f"Img/{images.file_name}", unpacked, f"Img/{unpacked}")
    found = [locate(names, root, "celeba", source)]
    among = source is not None and (not source.is_dir() or source.name == unpacked)  # the images themselves were named
    for remote, folder in zip(lists, ("Anno", "Eval"), strict=True):
        table = remote.file_name.replace(".txt", ".csv")
        forms = tuple(place + form for form in (remote.file_name, table) for place in ("", f"{folder}/"))
        found.append(_beside(source, forms, unpacked) if source and among else locate(forms, root, "celeba", source))
    paths = [path for path in found if path is not None]
    if len(paths) < len(found):
        absent = ", ".join(remote.file_name for remote, path in zip(files, found, strict=True) if path is None)
        raise UserError(
            f"{name} needs {absent}, which {HOME} gives out after you have accepted its terms. Put that into "
            f"{root / 'celeba'}, or run: disentangle-bench datasets prepare {name} --source PATH"
        )
    for remote, path in zip(files, paths, strict=True):
        if path.suffix != ".csv" and not path.is_dir():
            check(path, remote)
    return paths[0], paths[1], paths[2]


def _beside(source: Path, forms: tuple[str, ...], unpacked: str) -> Path:
    """A list in one of these forms beside the images that the user named; `UserError` where there is none."""
    folder = source.absolute().parent
    while folder.name in ("Img", unpacked):  # the official folder, or Kaggle's folder within a folder of one name
        folder = folder.parent
    path = only((folder,), forms, str(folder))
    if path is None:
        raise UserError(
            f"--source {source} is taken for the images alone, and {folder} holds no {forms[0]} (nor {forms[2]}) "
            "beside them. If the lists are in it, unpack it and name the folder; otherwise put them beside it."
        )
    check_regular(path)
    return path


def images_in_order(tree: Tree, count: int) -> list[str]:
    """The names of 000001.jpg to the last in the tree; `UserError` that names one that is missing or extra."""
    images: dict[str, str] = {}  # base name -> name
    for name in tree.names:
        if name.endswith(".jpg") and name != (first := images.setdefault(os.path.basename(name), name)):
            raise UserError(f"{tree.path}: {first} and {name} have one name. Remove the one that is extra.")
    expected = [f"{i:06d}.jpg" for i in range(1, count + 1)]
    remedy = f"It must hold 000001.jpg to {expected[-1]} and no other."
    for wrong, what in ((set(expected) - images.keys(), "is missing"), (images.keys() - set(expected), "is extra")):
        if wrong:
            raise UserError(f"{tree.path}: {min(wrong)} {what}. {remedy}")
    return [images[name] for name in expected]


def read_attributes(path: Path, count: int) -> np.ndarray:  # int64 (count, 40) of 0 and 1
    """list_attr_celeba.txt: a count, the attributes' names, and for each image its name and 40 times -1 or 1.

    The .csv has its header in place of the first two lines.
    """
    lines = _lines(path)
    headers = [["image_id", *ATTRIBUTES]] if path.suffix == ".csv" else [[str(count)], list(ATTRIBUTES)]
    for expected in headers:
        number, words = next(lines, (0, []))
        if words != expected:
            raise _unexpected(path, number, " ".join(expected), words)
    table = np.empty((count, len(ATTRIBUTES)), dtype=np.int64)
    for i in range(count):
        number, words = next(lines, (0, []))
        if words[:1] != [f"{i + 1:06d}.jpg"] or len(words) != 41 or not set(words[1:]) <= {"-1", "1"}:
            raise _unexpected(path, number, f"{i + 1:06d}.jpg and 40 values, -1 or 1", words)
        table[i] = [word == "1" for word in words[1:]]
    _end(path, lines)
    return table


def check_partition(path: Path, sizes: tuple[int, ...]) -> None:
    """`UserError` unless list_eval_partition.txt puts the first sizes[0] images in part 0, the next in 1, ....

    The .csv has a header before them.
    """
    lines, parts = _lines(path), np.repeat(np.arange(len(sizes)), sizes)
    if path.suffix == ".csv":
        number, words = next(lines, (0, []))
        if words != ["image_id", "partition"]:
            raise _unexpected(path, number, "image_id,partition", words)
    for i, part in enumerate(parts):
        number, words = next(lines, (0, []))
        if words != [f"{i + 1:06d}.jpg", str(part)]:
            raise _unexpected(path, number, f"{i + 1:06d}.jpg {part}", words)
    _end(path, lines)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The words of each line that has any, with its number; a .csv file's are its cells."""
    separator = "," if path.suffix == ".csv" else None
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (
                (number, [word.strip() for word in line.split(separator)])
                for number, line in enumerate(file, 1)
                if line.strip()
            )
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error


def _end(path: Path, lines: Iterator[tuple[int, list[str]]]) -> None:
    for number, words in lines:
        raise _unexpected(path, number, "no more lines", words)


def _unexpected(path: Path, number: int, expected: str, words: list[str]) -> UserError:
    found = f"line {number} is '{' '.join(words)[:80]}'" if words else "it ends"
    return UserError(f"{path} is not the official file: expected {expected}, but {found}. Fetch it again from {HOME}.")
