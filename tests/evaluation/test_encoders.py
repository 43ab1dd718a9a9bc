"""Encoders of one's own: each form gives the same codes, and each fault is told before the long run."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets import load
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.encoder_files import load_encoder
from disentangle_bench.evaluation.encoders import rehearse
from disentangle_bench.metrics import encode_dataset

FUNCTIONS = """
import numpy as np
import torch
import neighbour

calls = []

def encode(images):
    assert images.dtype == np.uint8 and images.max() == 255
    return images.reshape(len(images), -1)[:, :3] / 255

def unit(images):
    assert images.dtype == np.float32 and images.max() == 1 and images.min() == 0
    return images.reshape(len(images), -1)[:, :3]

def signed(images):
    assert images.dtype == np.float32 and images.max() == 1 and images.min() == -1
    return images.reshape(len(images), -1)[:, :3] / 2 + 0.5

def tensors(images):
    return torch.nn.Parameter(torch.from_numpy(encode(images)))

def crashes(images):
    return encode(images)[:, 9]

def later(images):
    calls.append(len(images))
    return encode(images) if len(calls) < 12 else encode(images) / 0 * 0

def leaves(images):
    raise SystemExit(3)

def flat(images):
    return encode(images)[:, 0]

def fewer(images):
    return encode(images)[1:]

def words(images):
    return encode(images).astype(str)

def several(images):
    return encode(images), encode(images)

def nothing(images):
    return None

def draws(images):
    return encode(images) + np.random.default_rng().normal(size=(len(images), 3))

def of_its_batch(images):
    return encode(images) - encode(images).mean(axis=0)

network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.9), torch.nn.Linear(256, 3))
number = 3
"""


@pytest.fixture
def tiny(place) -> Dataset:
    return load("tiny", place.data)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The words for one of the functions."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "neighbour.py").write_text("")
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    return lambda name: f"{tmp_path / 'mine.py'}:{name}"


@pytest.mark.parametrize(
    ("name", "pixels"), [("encode", None), ("unit", "unit"), ("signed", "signed"), ("tensors", None)]
)
def test_a_function_gets_pixels_as_asked(mine, tiny: Dataset, name: str, pixels) -> None:
    encoder = load_encoder(mine(name), pixels)
    rehearse(encoder, tiny)
    expected = tiny.rows.reshape(96, -1)[:, :3] / 255
    np.testing.assert_allclose(encode_dataset(encoder, tiny, batch_size=40), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["a.pt", "a.pt2"])
def test_a_program_gives_the_networks_codes_of_pixels_from_0_to_1(name: str, tiny: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()
    write_program(network, tmp_path / name, torch.rand(2, 1, 16, 16))
    encoder = load_encoder(str(tmp_path / name))
    rehearse(encoder, tiny)
    with torch.no_grad():
        expected = network(torch.from_numpy(tiny.rows / np.float32(255)).float())
    np.testing.assert_allclose(encode_dataset(encoder, tiny, batch_size=40), expected, atol=1e-5)


def test_a_program_that_takes_bytes_is_given_bytes(tiny: Dataset, tmp_path: Path) -> None:
    class First(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :3].float()

    write_program(First(), tmp_path / "a.pt2", torch.zeros(2, 1, 16, 16, dtype=torch.uint8))
    encoder = load_encoder(str(tmp_path / "a.pt2"))
    assert encoder(tiny.images(np.arange(96))).max() == 255


def write_program(network: nn.Module, path: Path, images: torch.Tensor) -> None:
    """The network as a program that takes any number of images, in the form that the suffix says."""
    with warnings.catch_warnings(action="ignore"):
        if path.suffix == ".pt":
            torch.jit.trace(network, images).save(str(path))
            return
        program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("images")},))
        torch.export.save(program, path)


@pytest.mark.parametrize(("kind", "largest"), [("FLOAT", 1.0), ("UINT8", 255.0)])
def test_an_onnx_program_gets_the_pixels_that_it_declares(
    tiny: Dataset, tmp_path: Path, kind: str, largest: float
) -> None:
    write_onnx(tmp_path / "a.onnx", kind, "images")
    encoder = load_encoder(str(tmp_path / "a.onnx"))
    rehearse(encoder, tiny)
    codes = encode_dataset(encoder, tiny, batch_size=40)
    np.testing.assert_allclose(codes, tiny.rows.reshape(96, 256) * (largest / 255), atol=1e-6)
    assert codes.max() == largest


def test_an_onnx_program_of_one_batch_size_is_told(tmp_path: Path) -> None:
    write_onnx(tmp_path / "a.onnx", "FLOAT", 4)
    with pytest.raises(
        UserError, match="takes batches of 4 images alone; export it with a first dimension that varies"
    ):
        load_encoder(str(tmp_path / "a.onnx"))


def write_onnx(path: Path, kind: str, batch: str | int) -> None:
    """An ONNX program whose codes are its pixels as float32."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    types, make = onnx.TensorProto, onnx.helper
    images = make.make_tensor_value_info("images", getattr(types, kind), [batch, 1, 16, 16])
    codes = make.make_tensor_value_info("codes", types.FLOAT, [batch, 256])
    flat, cast = (
        make.make_node("Flatten", ["images"], ["flat"]),
        make.make_node("Cast", ["flat"], ["codes"], to=types.FLOAT),
    )
    graph = make.make_graph([flat, cast], "pixels", [images], [codes])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def test_a_torch_module_of_a_file_is_put_into_evaluation_mode(mine, tiny: Dataset) -> None:
    encoder = load_encoder(mine("network"))
    rehearse(encoder, tiny)  # which dropout would not survive


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("crashes", r"raised IndexError: index 9 .*, at .*mine\.py:\d+; mend it there\.\n  File .*in crashes\n"),
        ("leaves", r"raised SystemExit: 3, at .*mine\.py"),
        ("flat", r"it gives \(8,\) for 8 images"),
        ("fewer", r"it gives \(7, 3\) for 8 images"),
        ("words", "it gives <U32"),
        ("several", "it gives a tuple of 2, of which one must be chosen"),
        ("nothing", r"it gives \(\) for 8 images"),
        ("draws", "gives an image other codes alone than among 8"),
        ("of_its_batch", "gives an image other codes alone than among 8"),
    ],
)
def test_a_rehearsal_finds_what_would_spoil_the_run(mine, tiny: Dataset, name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        rehearse(load_encoder(mine(name)), tiny)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_number_that_is_not_finite_ends_a_run_at_once(mine, tiny: Dataset) -> None:
    encoder, done = load_encoder(mine("later")), []
    rehearse(encoder, tiny)  # 9 calls
    with pytest.raises(UserError, match="it gives nan as code 0 of an image"):
        encode_dataset(encoder, tiny, 16, lambda *progress: done.append(progress))
    assert done == [(16, 96), (32, 96)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mine.py:none", "mine.py defines no 'none'"),
        ("mine.py:number", "'number' is of type int"),
        ("mine.py", "give FILE.py:FUNCTION"),
        ("none.py:encode", "there is no file none.py"),
        ("wrong.py:encode", r"can't be imported \(NameError: .*, at .*wrong\.py:2\)"),
        ("nomodule:encode", "can't be imported"),
        ("weights.pt", "holds weights or other data, and no program"),
        ("text.pt", "holds weights or other data, and no program"),
        ("cut.pt2", "holds weights or other data, and no program"),
        ("none.pt", "there is no such file"),
        ("none.onnx", "there is no such file"),
        ("text.onnx", "can't be loaded"),
    ],
)
def test_what_is_no_encoder_is_told(mine, tmp_path: Path, monkeypatch, text: str, sentence: str) -> None:
    if text.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    Path("wrong.py").write_text("\nundefined\n")
    torch.save(nn.Linear(2, 2).state_dict(), "weights.pt")
    for name in ("text.pt", "text.onnx"):
        Path(name).write_text("no program")
    Path("cut.pt2").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=sentence):
        load_encoder(text)


def test_a_device_that_is_not_there_is_told(mine, tmp_path: Path) -> None:
    write_program(nn.Flatten(), tmp_path / "a.pt", torch.rand(2, 1, 16, 16))
    with pytest.raises(UserError, match="--device nowhere: torch can't use it here"):
        load_encoder(str(tmp_path / "a.pt"), device="nowhere")
    with pytest.raises(UserError, match="a Python function chooses its device itself"):
        load_encoder(mine("encode"), device="cpu")


def test_a_file_of_weights_without_onnxruntime_says_which_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime; pip install 'disentangle-bench\[onnx\]'"):
        load_encoder(str(tmp_path / "a.onnx"))
