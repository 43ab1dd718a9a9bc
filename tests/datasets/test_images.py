"""3D Chairs, CelebA and a user's own images, from miniature sources in exactly the documented formats."""

import functools
import io
import itertools
import os
import pickle
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from typer.testing import CliRunner

from disentangle_bench import conformance, datasets, registry
from disentangle_bench.cli.datasets import datasets_app
from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets import celeba, chairs3d, download
from disentangle_bench.datasets.celeba import CelebA
from disentangle_bench.datasets.celeba_files import ATTRIBUTES
from disentangle_bench.datasets.chairs3d import Chairs3D
from disentangle_bench.datasets.folder import Folder
from disentangle_bench.errors import UserError
from disentangle_bench.pictures import dataset as show
from tests.datasets.test_trees import pack

Files = dict[str, bytes]


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


runner = CliRunner()


def assert_conforms(cls: type[Dataset], root: Path) -> None:
    """The shipped checks pass, and what is mapped again is the same."""
    assert [finding for finding in conformance.check("dataset", cls, root) if finding.status != "passed"] == []
    data = cls(root)
    data.verify()
    again = pickle.loads(pickle.dumps(data))
    assert (again.name, again.checksum) == (data.name, data.checksum)
    assert np.array_equal(again.images([0]), data.images([0]))


# --- 3D Chairs

# As in the published names.
AZIMUTHS = [
    f"{degrees:03d}"
    for degrees in (
        0, 11, 23, 34, 46, 58, 69, 81, 92, 104, 116, 127, 139, 150, 162, 174,
        185, 197, 209, 220, 232, 243, 255, 267, 278, 290, 301, 313, 325, 336, 348,
    )
]  # fmt: skip


class TwoChairs(Chairs3D):
    factor_sizes = (2, 2, 31)


def rendering(grey: int) -> bytes:
    """600 × 600: black, and this grey in the middle 400 × 400."""
    image = Image.new("RGB", (600, 600))
    image.paste((grey, grey, grey), (100, 100, 500, 500))
    return encoded(image)


@pytest.fixture(scope="module")
def chairs() -> Files:
    """Two chairs, in no order; the grey tells model, elevation and azimuth: 70·model + 31·elevation + azimuth."""
    files = {"all_chair_names.mat": b"MATLAB"}
    for model, folder in ((1, "f0" * 16), (0, "1a" * 16)):
        for i, (p, t) in reversed(list(enumerate((p, t) for p in ("020", "030") for t in AZIMUTHS))):
            files[f"{folder}/renders/image_{i:03d}_p{p}_t{t}_r096.png"] = rendering(70 * model + i)
    return files


@pytest.mark.parametrize("kind", ["rendered_chairs.tar", "rendered_chairs"])
@pytest.mark.parametrize("place", ["root", "root/chairs3d", "source"])
def test_chairs(tmp_path: Path, chairs: Files, kind: str, place: str) -> None:
    (tmp_path / place).mkdir(parents=True)
    pack(tmp_path / place / kind, chairs, "rendered_chairs/")
    source = tmp_path / "source" / kind if place == "source" else None
    seen: list[tuple[int, int]] = []
    TwoChairs.prepare(tmp_path / "root", lambda done, total: seen.append((done, total)), source)
    assert seen[-1] == (124, 124)
    data = TwoChairs(tmp_path / "root")
    assert data.source == kind
    assert data.full_grid
    images = data.images(np.arange(124))
    assert images.shape == (124, 1, 64, 64)
    factors = data.factors(np.arange(124))
    assert np.array_equal(images, np.broadcast_to((factors @ [70, 31, 1])[:, None, None, None], images.shape))
    if place == "source":
        assert_conforms(TwoChairs, tmp_path / "root")


def test_a_rendering_is_cropped_averaged_and_made_grey() -> None:
    image = Image.new("RGB", (600, 600), "white")
    image.paste((255, 0, 0), (100, 100, 300, 500))  # the left half of the crop; red is 0.299 of grey
    row = chairs3d.small("x.png", image)[32, :, 0]
    assert (row[:28] == 76).all()
    assert (row[36:] == 255).all()
    assert row[32] > 200 > row[31]  # the border lies between the two
    assert np.diff(row.astype(int)).max() > 0


def test_chairs_views_are_the_published_names() -> None:
    assert len(chairs3d.VIEWS) == 62
    assert chairs3d.VIEWS[0] == "image_000_p020_t000_r096.png"
    assert chairs3d.VIEWS[30] == "image_030_p020_t348_r096.png"
    assert chairs3d.VIEWS[31] == "image_031_p030_t000_r096.png"
    assert [name.split("_t")[1][:3] for name in chairs3d.VIEWS[31:]] == AZIMUTHS
    assert len(Chairs3D.remote.urls) == 1
    assert np.prod(Chairs3D.factor_sizes) == 86_366


CHAIR = "1a" * 16 + "/renders/"


@pytest.mark.parametrize(
    ("added", "removed", "message"),
    [
        ({}, CHAIR + "image_040_p030_t104_r096.png", r"1a/renders/image_040_p030_t104_r096\.png is missing"),
        ({CHAIR + "image_062_p030_t104_r096.png": b""}, "", r"image_062_p030_t104_r096\.png is none of the 62 views"),
        ({CHAIR + "image_040_p020_t104_r096.png": b""}, "", r"image_040_p020_t104_r096\.png is none of the 62 views"),
        ({"cover.png": b""}, "", r"rendered_chairs\.tar: cover\.png is none of the 62 views"),
        ({"00/renders/" + view: b"" for view in chairs3d.VIEWS}, "", r"holds 3 chairs .*expected 2"),
        ({CHAIR + "image_000_p020_t000_r096.png": encoded(Image.new("RGB", (64, 64)))}, "", "is 64 × 64, expected 600"),
        ({CHAIR + "image_000_p020_t000_r096.png": b"<html>"}, "", r"'.*image_000.*' in .* is no image that can be dec"),
    ],
)
def test_other_chairs(tmp_path: Path, chairs: Files, added: Files, removed: str, message: str) -> None:
    files = {name: data for name, data in (chairs | added).items() if name != removed}
    pack(tmp_path / "rendered_chairs.tar", files)
    with pytest.raises(UserError, match=message):
        TwoChairs.prepare(tmp_path)
    assert not (tmp_path / "chairs3d.h5").exists()


def test_chairs_are_downloaded(tmp_path: Path, chairs: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    pack(tmp_path / "site/rendered_chairs.tar", chairs, "rendered_chairs/")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/rendered_chairs.tar"
        monkeypatch.setattr(Chairs3D, "remote", replace(Chairs3D.remote, urls=(url,), smallest=0))
        TwoChairs.prepare(tmp_path / "root")
        server.shutdown()
        thread.join()
    assert (tmp_path / "root/chairs3d/rendered_chairs.tar").exists()
    assert TwoChairs(tmp_path / "root").images(123)[0, 0, 9, 9] == 70 + 61


def test_no_chairs_and_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0)
    lonely = replace(Chairs3D.remote, urls=("http://127.0.0.1:9/rendered_chairs.tar",))
    monkeypatch.setattr(Chairs3D, "remote", lonely)
    with pytest.raises(UserError, match=r"can't download rendered_chairs\.tar.*prepare chairs3d --source PATH"):
        TwoChairs.prepare(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"--source .*empty holds no rendered_chairs\.tar or rendered_chairs;"):
        TwoChairs.prepare(tmp_path, source=tmp_path / "empty")


# --- CelebA


class TenFaces(CelebA):
    part_sizes = (5, 3, 2)
    files = tuple(replace(remote, checksum="", size=None) for remote in CelebA.files)


FACES = {
    f"img_align_celeba/{i:06d}.jpg": encoded(Image.new("RGB", (178, 218), (20 * i,) * 3), "JPEG") for i in range(1, 11)
}
PRESENT = np.random.default_rng(0).integers(2, size=(10, 40))
LIST = "\n".join(
    ["10", " ".join(ATTRIBUTES) + " "]
    + [f"{i + 1:06d}.jpg " + " ".join(f"{2 * value - 1:2d}" for value in row) for i, row in enumerate(PRESENT)]
)
PARTITION = "".join(f"{i:06d}.jpg {part}\n" for i, part in enumerate([0] * 5 + [1] * 3 + [2] * 2, 1))


def put_celeba(folder: Path, images: str = "img_align_celeba.zip", official: bool = False) -> Path:
    """The three files, side by side or as the official folders have them; the path of the images."""
    places = [folder / name for name in (("Img", "Anno", "Eval") if official else (".", ".", "."))]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    if images.endswith(".zip"):
        pack(places[0] / images, FACES)
    else:
        pack(places[0], FACES)
    (places[1] / "list_attr_celeba.txt").write_text(LIST)
    (places[2] / "list_eval_partition.txt").write_text(PARTITION)
    return places[0] / images


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("images", ["img_align_celeba.zip", "img_align_celeba"])
@pytest.mark.parametrize("given", ["nothing", "the folder", "the images"])
def test_celeba(tmp_path: Path, official: bool, images: str, given: str) -> None:
    root = tmp_path / "root"
    folder = root / "celeba" if given == "nothing" else tmp_path / "elsewhere"
    path = put_celeba(folder, images, official)
    TenFaces.prepare(root, source={"nothing": None, "the folder": folder, "the images": path}[given])
    data = TenFaces(root)
    assert (len(data), data.image_shape, data.full_grid, data.classes()) == (10, (3, 64, 64), False, 0)
    assert np.array_equal(data.factors(np.arange(10)), PRESENT)
    assert data.images(np.arange(10))[:, 0, 5, 5].tolist() == [20 * i for i in range(1, 11)]


def test_celebas_parts_share_a_file(tmp_path: Path) -> None:
    put_celeba(tmp_path)
    parts = {name: TenFaces.variant(name) for name in ("train", "valid", "test")}
    parts["test"].prepare(tmp_path)  # which prepares them all
    everything = TenFaces(tmp_path)
    assert everything.stored.attributes["name"] == "celeba"
    for (name, cls), rows in zip(parts.items(), (range(5), range(5, 8), range(8, 10)), strict=True):
        data = cls(tmp_path)
        assert data.name == f"celeba-{name}"
        assert data.checksum == f"{everything.checksum}:{name}"
        assert np.array_equal(data.images(np.arange(len(data))), everything.images(list(rows)))
        assert np.array_equal(data.factors(np.arange(len(data))), PRESENT[list(rows)])
        with pytest.raises(UserError, match=f"celeba-{name}, which has rows 0 to {len(rows) - 1}"):
            data.images(len(rows))
        assert_conforms(cls, tmp_path)
    assert_conforms(TenFaces, tmp_path)
    assert [path.name for path in tmp_path.glob("*.h5")] == ["celeba.h5"]


@pytest.mark.parametrize(("crop", "side"), [("infogan-cr", 32), ("squash", 64)])
def test_celebas_other_crops_are_files_of_their_own(tmp_path: Path, crop: str, side: int) -> None:
    put_celeba(tmp_path)
    cls = TenFaces.variant(crop)
    cls.prepare(tmp_path)
    assert (tmp_path / f"celeba-{crop}.h5").exists()
    assert cls(tmp_path).image_shape == (3, side, side)
    part = TenFaces.variant(f"{crop}-test")
    assert part.prepared(tmp_path) == cls.prepared(tmp_path)
    assert np.array_equal(part(tmp_path).images([0, 1]), cls(tmp_path).images([8, 9]))
    assert_conforms(cls, tmp_path)
    assert_conforms(part, tmp_path)


def test_celebas_names() -> None:
    assert registry.get("dataset", "celeba-squash-valid") is CelebA.variant("squash-valid")
    assert CelebA.variant("infogan-cr").image_shape == (3, 32, 32)
    for wrong in ("", "trains", "train-squash", "-train"):
        assert CelebA.variant(wrong) is None
    with pytest.raises(UserError, match="unknown dataset 'celeba-tset'"):
        registry.get("dataset", "celeba-tset")
    assert CelebA.row_shape() == (202_599, 64, 64, 3)
    assert len(ATTRIBUTES) == 40
    assert ATTRIBUTES[20] == "Male"


def framed(box: tuple[int, int, int, int]) -> Image.Image:
    """An aligned image that is white outside this box and black inside."""
    image = Image.new("RGB", (178, 218), "white")
    image.paste((0, 0, 0), box)
    return image


def test_crops() -> None:
    """Where the centres are: 148 of 178 leaves 15 left, 148 of 218 leaves 35 above; 128 leaves 25 and 45."""
    assert celeba.centre_148(framed((15, 35, 163, 183))).max() == 0
    for closer in ((16, 35, 163, 183), (15, 36, 163, 183), (15, 35, 162, 183), (15, 35, 163, 182)):
        assert celeba.centre_148(framed(closer)).max() > 0
    assert celeba.centre_128(framed((26, 46, 152, 172))).max() == 0  # the outermost pixels have no weight
    for closer in ((27, 46, 152, 172), (26, 47, 152, 172), (26, 46, 151, 172), (26, 46, 152, 171)):
        assert celeba.centre_128(framed(closer)).max() > 0
    assert celeba.squash(framed((0, 0, 178, 218))).max() == 0
    assert celeba.squash(framed((1, 0, 178, 218)))[:, 0].max() > 0
    assert [crop(framed((0, 0, 1, 1))).shape for _, crop, _ in celeba.CROPS.values()] == [
        (64, 64, 3),
        (32, 32, 3),
        (64, 64, 3),
    ]


def test_infogan_crs_crop_is_the_mean_of_four() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(218, 178, 3), dtype=np.uint8)
    small = celeba.centre_128(Image.fromarray(pixels))
    four = pixels[45 + 4 * 7 + 1 : 45 + 4 * 7 + 3, 25 + 4 * 9 + 1 : 25 + 4 * 9 + 3].astype(int)
    assert small[7, 9].tolist() == ((four.sum(axis=(0, 1)) + 2) // 4).tolist()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list_attr_celeba.txt", "10\n", "11\n", "expected 10, but line 1 is '11'"),
        ("list_attr_celeba.txt", "Male Mouth", "Mouth Male", "expected 5_o_Clock.*but line 2 is"),
        ("list_attr_celeba.txt", "000004.jpg", "000005.jpg", "expected 000004.jpg and 40 values.*line 6 is '000005"),
        ("list_attr_celeba.txt", "000004.jpg ", "000004.jpg 1 ", "expected 000004.jpg and 40 values"),
        ("list_attr_celeba.txt", "000004.jpg  1", "000004.jpg  0", "expected 000004.jpg and 40 values"),
        ("list_attr_celeba.txt", LIST[-200:], "", "expected 000009.jpg and 40 values, -1 or 1, but line 11 is '000009"),
        ("list_attr_celeba.txt", LIST[-1], LIST[-1] + "\n000011.jpg", "expected no more lines, but line 13"),
        ("list_eval_partition.txt", "000006.jpg 1", "000006.jpg 2", "expected 000006.jpg 1, but line 6"),
        ("list_eval_partition.txt", "000010.jpg 2\n", "", "expected 000010.jpg 2, but it ends"),
        ("list_eval_partition.txt", PARTITION, "<html>", "expected 000001.jpg 0, but line 1 is '<html>'"),
    ],
)
def test_other_lists(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    put_celeba(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(new.join(text.rsplit(old, 1)) if old == LIST[-1] else text.replace(old, new))
    with pytest.raises(UserError, match=rf"{file} is not the official file: {message}"):
        TenFaces.prepare(tmp_path)


def test_other_faces(tmp_path: Path) -> None:
    small = {"img_align_celeba/000003.jpg": encoded(Image.new("RGB", (64, 64)), "JPEG")}
    for files, message in (
        ({name: data for name, data in FACES.items() if "07" not in name}, "000007.jpg is missing"),
        (FACES | {"img_align_celeba/000011.jpg": b""}, r"000011\.jpg is extra.*000001\.jpg to 000010\.jpg"),
        (FACES | {"copy/000003.jpg": b""}, r"copy/000003\.jpg and img_align_celeba/000003\.jpg have one name.*extra"),
        (FACES | small, r"000003\.jpg is 64 × 64, expected 178 × 218"),
    ):
        put_celeba(tmp_path)
        pack(tmp_path / "img_align_celeba.zip", files)
        with pytest.raises(UserError, match=message):
            TenFaces.prepare(tmp_path)


def test_celebas_files_are_asked_for_and_checked(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        TenFaces.prepare(tmp_path)
    for part in ("img_align_celeba.zip, list_attr_celeba.txt, list_eval_partition.txt", "terms", "--source PATH"):
        assert part in str(caught.value)
    put_celeba(tmp_path)
    (tmp_path / "list_attr_celeba.txt").unlink()
    with pytest.raises(UserError, match=r"celeba-squash needs list_attr_celeba\.txt, which.*prepare celeba-squash --s"):
        TenFaces.variant("squash").prepare(tmp_path)
    put_celeba(tmp_path)
    with pytest.raises(UserError, match=r"img_align_celeba\.zip is not the official file: expected 1443490838 bytes"):
        CelebA.prepare(tmp_path)


def put_kaggles_celeba(folder: Path) -> Path:
    """As Kaggle's archive unpacks: a folder of images in a folder of the same name, and lists with commas."""
    pack(folder / "img_align_celeba", FACES)
    rows = [f"{i + 1:06d}.jpg,{','.join(str(2 * value - 1) for value in row)}" for i, row in enumerate(PRESENT)]
    (folder / "list_attr_celeba.csv").write_text("\r\n".join([",".join(["image_id", *ATTRIBUTES]), *rows]))
    (folder / "list_eval_partition.csv").write_text("image_id,partition\n" + PARTITION.replace(" ", ","))
    return folder


@pytest.mark.parametrize("given", [".", "img_align_celeba", "img_align_celeba/img_align_celeba"])
def test_celeba_as_kaggle_packs_it(tmp_path: Path, given: str) -> None:
    folder = put_kaggles_celeba(tmp_path / "archive")
    TenFaces.prepare(tmp_path, source=folder / given)
    data = TenFaces(tmp_path)
    assert np.array_equal(data.factors(np.arange(10)), PRESENT)
    assert data.images(np.arange(10))[:, 0, 5, 5].tolist() == [20 * i for i in range(1, 11)]
    assert data.read_from[1:] == (str(folder / "list_attr_celeba.csv"), str(folder / "list_eval_partition.csv"))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list_attr_celeba.csv", "Male,", "Male;", "expected image_id 5_o_.*, but line 1 is"),
        (
            "list_attr_celeba.csv",
            "000003.jpg,",
            "000003.jpg,0,",
            "expected 000003.jpg and 40 values, -1 or 1, but line 4",
        ),
        (
            "list_eval_partition.csv",
            "image_id",
            "image",
            "expected image_id,partition, but line 1 is 'image partition'",
        ),
        ("list_eval_partition.csv", "000006.jpg,1", "000006.jpg,2", "expected 000006.jpg 1, but line 7"),
    ],
)
def test_other_lists_of_kaggles(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    folder = put_kaggles_celeba(tmp_path / "archive")
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    with pytest.raises(UserError, match=rf"{file} is not the official file: {message}"):
        TenFaces.prepare(tmp_path, source=folder)


def test_an_archive_without_its_lists_is_named_itself(tmp_path: Path) -> None:
    """Kaggle's archive holds everything; its folder may hold anything."""
    archive = pack(tmp_path / "archive.zip", FACES | {"list_attr_celeba.csv": b""})
    with pytest.raises(UserError) as caught:
        TenFaces.prepare(tmp_path / "root", source=archive)
    said = str(caught.value)
    assert said.startswith(f"--source {archive} is taken for the images alone")
    assert "no list_attr_celeba.txt (nor list_attr_celeba.csv) beside them" in said
    assert "unpack it and name the folder" in said


# --- a user's own images


def square(value: int, mode: str = "L", side: int = 4) -> bytes:
    """A grey or coloured square whose first pixel differs from the others."""
    image = Image.new(mode, (side, side), value if mode == "L" else (value, 0, 0))
    image.putpixel((0, 0), 255 if mode == "L" else (255, 255, 255))
    return encoded(image)


def turned(form: str) -> bytes:
    """An image that viewers turn by a quarter, as cameras write them."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return encoded(Image.new("L", (4, 3)), form, exif=exif)


CLEAR_GIF = encoded(Image.new("P", (4, 4)), "GIF", transparency=0)
TWO_FRAMES = encoded(Image.new("L", (9, 9), 1), "GIF", save_all=True, append_images=[Image.new("L", (9, 9), 2)])
GRID = {f"{shape}/{size}.png": square(10 * i + j) for i, shape in enumerate("ab") for j, size in enumerate((2, 10, 30))}
GRID_CSV = "file,size,shape\n" + "".join(f"{name},{name[2:-4]},{name[0]}\n" for name in sorted(GRID))


def prepared(root: Path, files: Files, name: str = "source") -> Folder:
    path = pack(root / name, files)
    cls = Folder.variant("mine")
    cls.prepare(root, source=path)
    return cls(root)


@pytest.mark.parametrize("kind", ["cats", "cats.zip", "cats.tar", "cats.tgz"])
def test_images_alone(tmp_path: Path, kind: str) -> None:
    data = prepared(tmp_path, {"b/x.png": square(7), "a.png": square(3), "readme.txt": b"cats"}, kind)
    assert (data.name, data.source, len(data)) == ("folder-mine", kind, 2)
    assert data.images([0, 1])[:, 0, 3, 3].tolist() == [3, 7]
    assert data.image_shape == (1, 4, 4)
    assert (data.factor_names, data.factor_sizes, data.full_grid) == ((), (), False)
    assert data.factors([0, 1]).shape == (2, 0)
    with pytest.raises(UserError, match=r"folder-mine.*no factors\.csv"):
        data.index([0])
    assert_conforms(type(data), tmp_path)


@pytest.mark.parametrize("place", ["", "deep/down/"])
def test_a_full_grid_is_recognised(tmp_path: Path, place: str) -> None:
    """Numbers are ordered by size, 2 before 10, and the last factor varies fastest."""
    files = {place + name: data for name, data in (GRID | {"factors.csv": GRID_CSV.encode()}).items()}
    data = prepared(tmp_path, files)
    assert (data.factor_names, data.factor_sizes) == (("size", "shape"), (3, 2))
    assert data.full_grid
    assert data.factor_table is None
    assert data.images(np.arange(6))[:, 0, 3, 3].tolist() == [0, 10, 1, 11, 2, 12]
    assert data.images(data.index([[1, 1]]))[0, 0, 3, 3] == 11
    assert_conforms(type(data), tmp_path)


def test_factors_are_part_of_the_checksum(tmp_path: Path) -> None:
    """The same bytes in the same order, as a grid of 3 by 2, of 3 by 2 with other names, and of 6."""
    checksums = set()
    numbered = [f"{shape}/{size}.png,{i}" for i, (size, shape) in enumerate(itertools.product((2, 10, 30), "ab"))]
    for csv in (GRID_CSV, GRID_CSV.replace("shape", "kind"), "\n".join(["file,x", *numbered])):
        data = prepared(tmp_path, GRID | {"factors.csv": csv.encode()})
        checksums.add(data.checksum)
        assert data.images(np.arange(6))[:, 0, 3, 3].tolist() == [0, 10, 1, 11, 2, 12]
        (tmp_path / "folder-mine.h5").unlink()
    assert len(checksums) == 3


def test_a_grid_with_a_hole_is_a_table(tmp_path: Path) -> None:
    files = {name: data for name, data in GRID.items() if name != "b/10.png"}
    csv = GRID_CSV.replace("b/10.png,10,b\n", "")
    data = prepared(tmp_path, files | {"factors.csv": csv.encode()})
    assert (data.factor_sizes, data.full_grid) == ((3, 2), False)
    assert data.images(np.arange(5))[:, 0, 3, 3].tolist() == [1, 0, 2, 10, 12]  # by name: a/10, a/2, a/30, b/2, b/30
    assert data.factors(np.arange(5)).tolist() == [[1, 0], [0, 0], [2, 0], [0, 1], [2, 1]]
    assert_conforms(type(data), tmp_path)


def test_a_repeated_combination_is_a_table(tmp_path: Path) -> None:
    """As many images as combinations, but one twice and one never."""
    data = prepared(tmp_path, GRID | {"factors.csv": GRID_CSV.replace("30,b", "10,b").encode()})
    assert (data.factor_sizes, data.full_grid) == ((3, 2), False)


@pytest.mark.parametrize("grid", [True, False])
def test_labels(tmp_path: Path, grid: bool) -> None:
    """A column `label` holds classes and is no factor."""
    rows = [f"{name},{name[0]},{'dog' if '2' in name else 'cat'},{name[2:-4]}" for name in sorted(GRID, reverse=True)]
    rows = rows if grid else rows[1:]
    files = {name: data for name, data in GRID.items() if grid or name != "b/30.png"}
    data = prepared(tmp_path, files | {"factors.csv": "\n".join(["x,shape,label,size", *rows]).encode()})
    assert (data.factor_names, data.full_grid) == (("shape", "size"), grid)
    assert (data.class_names, data.classes(), data.label_factor) == (("cat", "dog"), 2, None)
    value = data.images(np.arange(len(data)))[:, 0, 3, 3] % 10  # 0 is size 2, whose class is dog
    assert data.labels(np.arange(len(data))).tolist() == (value == 0).astype(int).tolist()
    assert_conforms(type(data), tmp_path)


def test_labels_alone(tmp_path: Path) -> None:
    data = prepared(tmp_path, {"a.png": square(1), "b.png": square(2), "factors.csv": b"file,label\nb.png,0\na.png,9"})
    assert (data.factor_names, data.class_names) == ((), ("0", "9"))
    assert data.labels([0, 1]).tolist() == [1, 0]
    assert_conforms(type(data), tmp_path)


def test_thousands_of_classes(tmp_path: Path) -> None:
    """Their names are more than an HDF5 attribute of the oldest kind may hold."""
    count = 4200  # of 16 bytes and more, where 64 KiB would be the limit
    csv = "file,label\n" + "".join(f"{i:04d}.png,class {i:04d}\n" for i in range(count))
    image = square(9)
    data = prepared(tmp_path, {f"{i:04d}.png": image for i in range(count)} | {"factors.csv": csv.encode()}, "x.zip")
    assert data.class_names[-1] == "class 4199"
    assert data.labels([7, 4199]).tolist() == [7, 4199]


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (Image.new("1", (4, 4), 1), [255]),
        (Image.new("L", (4, 4), 7), [7]),
        (Image.new("RGB", (4, 4), (1, 2, 3)), [1, 2, 3]),
        (Image.new("RGB", (4, 4), (1, 2, 3)).convert("P", palette=Image.Palette.ADAPTIVE), [1, 2, 3]),
    ],
)
def test_modes(tmp_path: Path, image: Image.Image, pixel: list[int]) -> None:
    data = prepared(tmp_path, {"a.png": encoded(image)})
    assert data.image_shape == (len(pixel), 4, 4)
    assert data.images(0)[0, :, 2, 1].tolist() == pixel


def test_shape_is_channels_height_width(tmp_path: Path) -> None:
    image = Image.new("RGB", (5, 3))
    image.putpixel((4, 1), (9, 8, 7))  # column 4, row 1
    data = prepared(tmp_path, {"a.png": encoded(image)})
    assert data.image_shape == (3, 3, 5)
    assert data.images(0)[0, :, 1, 4].tolist() == [9, 8, 7]


def test_a_turned_tiff_is_read_upright(tmp_path: Path) -> None:
    assert prepared(tmp_path, {"a.tif": turned("TIFF")}).image_shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.png": square(1), "b.png": square(1, side=5)}, "'a.png' is 4 × 4 grey and 'b.png' is 5 × 5 grey"),
        ({"a.png": square(1), "b.png": square(1, "RGB")}, "'a.png' is 4 × 4 grey and 'b.png' is 4 × 4 RGB"),
        ({"a.png": encoded(Image.new("RGBA", (4, 4)))}, "'a.png' in .* is of mode RGBA; save it as 8-bit grey or RGB"),
        ({"a.png": encoded(Image.new("I;16", (4, 4)))}, "'a.png' in .* is of mode I;16"),
        ({"a.gif": CLEAR_GIF}, "'a.gif' in .* has a transparent colour; save it without transparency"),
        ({"a.png": encoded(Image.new("P", (4, 4)), transparency=0)}, "'a.png' in .* has a transparent colour"),
        ({"a.png": encoded(Image.new("L", (4, 4)), transparency=0)}, "'a.png' in .* has a transparent colour"),
        ({"a.gif": TWO_FRAMES}, "'a.gif' in .* holds 2 frames; save the ones that you want as images of their own"),
        ({"a.gif": TWO_FRAMES[:-30]}, "'a.gif' in .* is damaged behind its first frame .*Replace it"),
        (
            {"a.jpg": turned("JPEG")},
            r"'a.jpg' in .* is to be turned or mirrored \(EXIF orientation 6\); save it upright",
        ),
        ({"a.png": square(1), "b.png": turned("PNG")}, r"'b.png' in .* \(EXIF orientation 6\)"),
        ({"a.png": square(1)[:50]}, "'a.png' in .* is no image that can be decoded"),
        ({"a.txt": b"x"}, "holds no images"),
        ({"a.png": square(1), "factors.csv": b"", "d/Factors.csv": b""}, "holds d/Factors.csv and factors.csv; leave"),
    ],
)
def test_other_sources(tmp_path: Path, files: Files, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(tmp_path, files)
    assert not (tmp_path / "folder-mine.h5").exists()


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        (b"", "is empty; it needs a header"),
        (b"file\na.png\nb.png\n", "its header must name different columns"),
        (b"file,x,x\na.png,1,2\nb.png,1,3\n", "its header must name different columns"),
        (b"file,x,\na.png,1,2\nb.png,1,3\n", "its header must name different columns"),
        (b"file,x\na.png,1\n", "has no row for the image 'b.png'"),
        (b"file,x\na.png,1\na.png,2\nb.png,3\n", "row 3: 'a.png' appears twice"),
        (b"file,x\na.png,1\nb.png,2\nc.png,3\n", "row 4: 'c.png' is no image beside it"),
        (b"file,x\na.png,1\nb.png\n", "row 3 must have 2 cells with text, not 'b.png'"),
        (b"file|x\na.png|1\nb.png|2\n", "with commas, semicolons or tabs between them, such as .*, not 'file|x'"),
        (b"file;x\na.png;1\nb.png,2\n", "row 3 must have 2 cells with text, not 'b.png,2'"),
        (b"file,x\na.png,1\nb.png, \n", "row 3 must have 2 cells with text"),
        (b"file,x\na.png,1,1\nb.png,1\n", "row 2 must have 2 cells with text"),
        (b'file,x\na.png,"1\nb.png,2\n', "is no CSV file"),
        (b"file,x\na.png,\xff\nb.png,2\n", "is not in UTF-8"),
        ("file,x\na.png,1\nb.png,2\n".encode("utf-16-le"), "holds NUL characters, as text in UTF-16 does; save it in"),
        (b"file,x,y\n\na.png,1,2\nb.png,1,NaN\n", "row 4: 'NaN' is no finite number, as the others in column 'y' are;"),
        (b"file,label\na.png,-inf\nb.png,2\n", "row 2: '-inf' is no finite number.*or a word such as 'none'"),
    ],
)
def test_other_factors(tmp_path: Path, csv: bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"'factors\.csv' in .*source,? ?.*{message}") as caught:
        prepared(tmp_path, {"a.png": square(1), "b.png": square(2), "factors.csv": csv})
    assert str(caught.value).isprintable()


def test_a_spreadsheets_csv(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, an empty last row, a quoted comma, spaces and capitals are all right."""
    csv = '﻿file,where\r\n./a.png,"here, there"\r\n b.png , away \r\n,\r\n'
    data = prepared(tmp_path, {"a.png": square(1), "b.png": square(2), "Factors.CSV": csv.encode()})
    assert (data.factor_names, data.factor_sizes) == (("where",), (2,))
    assert data.images([0, 1])[:, 0, 3, 3].tolist() == [2, 1]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs_with_decimal_commas(tmp_path: Path, separator: str) -> None:
    """As spreadsheets write where the comma is the decimal mark."""
    csv = '\ufefffile;angle;where\r\nb.png;10;"here; there"\r\na.png;9,5;away, far\r\n'.replace(";", separator)
    data = prepared(tmp_path, {"a.png": square(1), "b.png": square(2), "factors.csv": csv.encode()})
    assert (data.factor_names, data.factor_sizes) == (("angle", "where"), (2, 2))
    assert data.images([0, 1])[:, 0, 3, 3].tolist() == [1, 2]
    assert data.factors([0, 1]).tolist() == [[0, 0], [1, 1]]  # as text, 10 would come before 9,5


def test_a_comma_in_a_cell_does_not_hide_the_semicolons(tmp_path: Path) -> None:
    csv = "file;size, in mm;shape\n" + "".join(f"{name};{name[2:-4]};{name[0]}\n" for name in GRID)
    data = prepared(tmp_path, GRID | {"factors.csv": csv.encode()})
    assert (data.factor_names, data.factor_sizes) == (("size, in mm", "shape"), (3, 2))


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    csv = b"file,x,y\na.png,1.0,nan\nb.png,1,10\nc.png,1.00,2\n"
    files = {"a.png": square(1), "b.png": square(2), "c.png": square(3)}
    data = prepared(tmp_path, files | {"factors.csv": csv.replace(b"nan", b"none")})
    assert data.factor_sizes == (1, 3)
    assert data.images([0, 1, 2])[:, 0, 3, 3].tolist() == [2, 3, 1]  # as texts, 10 comes before 2
    (tmp_path / "folder-mine.h5").unlink()
    data = prepared(tmp_path, files | {"factors.csv": csv.replace(b"nan", b"30")})
    assert data.images([0, 1, 2])[:, 0, 3, 3].tolist() == [3, 2, 1]


@pytest.mark.parametrize("kind", ["classes", "factors", "grid"])
def test_a_picture_shows_the_first_twelve_of_many(tmp_path: Path, kind: str) -> None:
    count = 20
    if kind == "classes":
        lines = ["file,label", *(f"{i:02d}.png,{i}" for i in range(count))]
    else:  # on a grid, all factors but the first have one value
        columns = ",".join(f"x{k}" for k in range(count))
        same = "0" if kind == "grid" else "1"
        lines = [f"file,{columns}", *(f"{i:02d}.png,{i}" + f",{same if i else 0}" * (count - 1) for i in range(count))]
    files = {f"{i:02d}.png": square(i) for i in range(count)}
    data = prepared(tmp_path, files | {"factors.csv": "\n".join(lines).encode()})
    assert data.full_grid == (kind == "grid")
    assert len(show.factor_rows(data, np.random.default_rng(0))) == 12
    what = "classes" if kind == "classes" else "factors"
    assert show.rows_title(data).endswith(f": first 12 of 20 {what}")
    show.write_dataset_picture(data, tmp_path / "picture.png")
    assert Image.open(tmp_path / "picture.png").height < 1400


def test_a_picture_of_few_factors_shows_all(tmp_path: Path) -> None:
    data = prepared(tmp_path, GRID | {"factors.csv": GRID_CSV.encode()})
    assert [name for name, _ in show.factor_rows(data, np.random.default_rng(0))] == ["size (3)", "shape (2)"]
    assert show.rows_title(data) == "each factor from its first value to its last"


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (os.mkfifo, "a FIFO"),
        (lambda path: path.symlink_to("/dev/full"), "a device"),
    ],
)
@pytest.mark.parametrize("name", ["b.png", "factors.csv"])
def test_what_is_no_file_is_not_read(tmp_path: Path, make: Callable[[Path], None], kind: str, name: str) -> None:
    """A device has no end, and a FIFO waits for whoever writes into it."""
    source = pack(tmp_path / "source", {"a.png": square(1)})
    make(source / name)
    with pytest.raises(UserError, match=rf"'{name}' in .*source can't be read: it is {kind}.*, no regular file"):
        Folder.prepare(tmp_path, source=source)
    (source / name).rename(tmp_path / "cats.zip")
    with pytest.raises(UserError, match=rf"cats\.zip is {kind}.*, and only files and folders are read"):
        Folder.prepare(tmp_path, source=tmp_path / "cats.zip")


def test_a_file_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    """It takes no place on the disk, and would take as much memory as it says."""
    source = pack(tmp_path / "source", {"a.png": square(1)})
    with (source / "b.png").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match=r"'b.png' in .* can't be read: it holds more than 256 MiB"):
        Folder.prepare(tmp_path, source=source)


def test_a_source_must_be_given_once(tmp_path: Path) -> None:
    cats = registry.get("dataset", "folder-cats")
    assert cats is registry.get("dataset", "folder-cats")
    assert cats.name == "folder-cats"
    assert Folder.variant("../cats") is None
    with pytest.raises(UserError, match=r"datasets prepare folder-cats --source PATH"):
        datasets.load("folder-cats", tmp_path)
    with pytest.raises(UserError, match=r"--source .*absent: there is no such file or folder"):
        cats.prepare(tmp_path, source=tmp_path / "absent")
    cats.prepare(tmp_path, source=pack(tmp_path / "source", {"a.png": square(3)}))
    Folder.prepare(tmp_path, source=pack(tmp_path / "other", {"a.png": square(4)}))
    shutil.rmtree(tmp_path / "source")
    assert datasets.load("folder-cats", tmp_path).images(0)[0, 0, 3, 3] == 3
    assert datasets.load("folder", tmp_path).images(0)[0, 0, 3, 3] == 4


# --- the command line, on several at once


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A data root with two members of `folder` and scikit-learn's digits."""
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (tmp_path / name).mkdir()
        for k in range(3):
            Image.new("RGB", (8, 8), tuple(value // (k + 1) for value in colour)).save(tmp_path / name / f"{k}.png")
        registry.get("dataset", f"folder-{name}").prepare(tmp_path / "data", source=tmp_path / name)
    registry.get("dataset", "digits").prepare(tmp_path / "data")
    return tmp_path / "data"


def test_members_of_a_family_are_listed_and_verified(several: Path) -> None:
    assert [name for name in datasets.names(several) if "folder" in name] == ["folder", "folder-blue", "folder-red"]
    done = runner.invoke(datasets_app, ["verify", "--data-root", str(several)])
    assert done.exit_code == 0
    told = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert [name for name in told if name in ("digits", "dsprites") or "folder" in name] == [
        "digits", "folder-blue", "folder-red",
    ]  # fmt: skip
    assert f"read from {several.parent / 'red'}\n" in done.stdout
    assert "digits: as it was prepared" in done.stdout
    assert "; read from scikit-learn " in done.stdout


def test_one_damaged_file_does_not_hide_the_others(several: Path) -> None:
    (several / "dsprites.h5").write_bytes(b"nonsense" * 1000)
    (several / "folder-red.h5").write_bytes((several / "folder-red.h5").read_bytes()[:-100])
    listed = runner.invoke(datasets_app, ["--data-root", str(several)])
    assert listed.exit_code == 0
    assert "damaged" in listed.stdout
    verified = runner.invoke(datasets_app, ["verify", "--data-root", str(several)])
    assert verified.exit_code == 2
    assert "folder-blue: as it was prepared" in verified.stdout


def test_a_file_under_another_name_is_not_taken_for_that_dataset(several: Path) -> None:
    (several / "folder-red.h5").rename(several / "folder-green.h5")
    with pytest.raises(UserError, match=r"expected the dataset 'folder-green', found 'folder-red'"):
        datasets.load("folder-green", several)
    (several / "digits.h5").rename(several / "mnist.h5")
    with pytest.raises(UserError, match=r"expected the dataset 'mnist', found 'digits'"):
        datasets.load("mnist", several)


def test_prepare_says_what_it_found(several: Path, tmp_path: Path) -> None:
    source = ["--source", str(tmp_path / "red"), "--data-root", str(several)]
    told = runner.invoke(datasets_app, ["prepare", "folder-again", *source])
    assert "3 images of 3×8×8; no factors" in told.stdout
    assert f"read from {tmp_path / 'red'}\n" in told.stdout
    assert "is there already" in runner.invoke(datasets_app, ["prepare", "folder-again", *source]).stdout
    drawn = runner.invoke(datasets_app, ["prepare", "dsprites-circular", *source])
    assert isinstance(drawn.exception, UserError)
    assert "leave --source out" in str(drawn.exception)
