"""The variants of dSprites: made when they are asked for, a function of index and key, the same in numpy and torch."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from disentangle_bench import conformance, registry
from disentangle_bench.contracts import CodeTable, Dataset
from disentangle_bench.datasets import load, virtual
from disentangle_bench.datasets.dsprites_scream import DSpritesScream
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.codes import encode_grid
from disentangle_bench.metrics import score_table
from disentangle_bench.training.images import DeviceImages

SPRITE = 5 * 40960 + 20 * 1024 + 16 * 32 + 16  # a large square in the middle


@pytest.fixture
def painted(data_root: Path, tmp_path: Path) -> Path:
    """A data root with the sprites and a picture in which each pixel differs from the next."""
    (tmp_path / "dsprites.h5").symlink_to(data_root / "dsprites.h5")
    picture = np.arange(100 * 90 * 3, dtype=np.uint64) * 2654435761 % 251
    (tmp_path / "scream").mkdir()
    Image.fromarray(picture.reshape(90, 100, 3).astype(np.uint8)).save(tmp_path / "scream" / "scream.jpg", format="PNG")
    DSpritesScream.prepare(tmp_path)
    return tmp_path


def images(name: str, root: Path, index: Any, keys: Any = None) -> np.ndarray:
    data = load(name, root)
    given = np.atleast_1d(np.asarray(index))
    return data.pixels(data.rows, given, None if keys is None else np.asarray(keys))


# --- numbers drawn by a key


def test_splitmix64_gives_its_published_numbers() -> None:
    """The reference generator seeded with 1234567 begins so; `draws` seeds it with the mixed key."""
    state, expected = 1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]
    steps = state + np.arange(1, 4) * np.int64(virtual.GOLDEN)
    assert virtual.mix(steps).view(np.uint64).tolist() == expected


def test_numpy_and_torch_draw_the_same() -> None:
    keys = np.array([0, 1, 2**62, -5])
    assert np.array_equal(virtual.draws(keys, 7), virtual.draws(torch.from_numpy(keys), 7).numpy())
    assert len(np.unique(virtual.draws(np.arange(10_000), 3))) == 30_000


# --- IB-GAN's colours


def test_each_colour_of_each_sprite_has_an_index(data_root: Path) -> None:
    data = load("dsprites-color8", data_root)
    assert len(data) == 737_280 * 512
    index = data.index([0, 5, 20, 16, 16, 7, 3, 0])
    assert index.tolist() == [SPRITE * 512 + 7 * 64 + 3 * 8 + 0]
    assert data.factors(index).tolist() == [[0, 5, 20, 16, 16, 7, 3, 0]]
    (image,) = data.images(index)
    white = load("dsprites", data_root).images(SPRITE)[0, 0] > 0
    assert [np.unique(channel[white]).tolist() for channel in image] == [[255], [109], [0]]  # 255·3/7 = 109.3
    assert image[:, ~white].max() == 0


def test_levels_are_rounded_sevenths_and_the_first_colour_is_black(data_root: Path) -> None:
    found = images("dsprites-color8", data_root, SPRITE * 512 + np.arange(8)).max(axis=(2, 3))
    assert found[:, 2].tolist() == [round(255 * k / 7) for k in range(8)]
    assert found[:, :2].max() == 0
    assert found[0].max() == 0


def test_every_sprite_is_evaluated_once_and_colours_are_independent_of_the_shape(data_root: Path) -> None:
    data = load("dsprites-color8", data_root)
    index = data.evaluation()
    assert np.array_equal(index // 512, np.arange(737_280))
    assert np.array_equal(index, data.evaluation())
    colours = np.bincount(index % 512, minlength=512)
    assert colours.min() > 1440 - 6 * 38  # a mean of 1,440 each, with a deviation of 38
    assert colours.max() < 1440 + 6 * 38
    factors = data.factors(index)
    assert abs(np.corrcoef(factors.T) - np.eye(8)).max() < 0.01


def test_true_factors_score_as_high_as_on_a_grid(data_root: Path) -> None:
    data = load("dsprites-color8", data_root)
    factors = CodeTable.of(data, data.evaluation()[:, None]).merge_same_images().factors
    table = CodeTable.of(data, factors.astype(np.float64))
    assert score_table("factor-vae", table, "robust")["score"] == 1
    assert score_table("mig", table, "robust")["score"] > 0.97


# --- Locatello's nuisance


@pytest.mark.parametrize("name", ["dsprites-color", "dsprites-noisy", "dsprites-scream"])
def test_nuisance_is_fixed_by_the_index_and_drawn_anew_in_training(name: str, painted: Path) -> None:
    data = load(name, painted)
    assert (data.factor_names, len(data)) == (load("dsprites", painted).factor_names, 737_280)
    twice = images(name, painted, [SPRITE, SPRITE])
    assert np.array_equal(twice[0], twice[1])
    device = DeviceImages(data, torch.device("cpu"), (0.0, 1.0))
    index = torch.tensor([SPRITE, SPRITE])
    first, second = device.drawn(index, torch.Generator().manual_seed(0))
    assert not torch.equal(first, second)
    again = device.drawn(index, torch.Generator().manual_seed(0))
    assert torch.equal(first, again[0])
    assert np.array_equal(device(index)[0].mul(255).round().numpy().astype(np.uint8), twice[0])


def test_colours_are_uniform_from_half_to_full(data_root: Path) -> None:
    levels = images("dsprites-color", data_root, np.full(3_000, SPRITE), np.arange(3_000)).max(axis=(2, 3))  # (N, 3)
    assert (levels.min(), levels.max()) == (128, 255)
    assert np.abs(levels.mean(axis=0) - 191.5).max() < 4
    assert abs(np.corrcoef(levels.T)[np.triu_indices(3, 1)]).max() < 0.1


def test_noise_is_uniform_and_sprites_are_white(data_root: Path) -> None:
    (image,) = images("dsprites-noisy", data_root, SPRITE)
    white = load("dsprites", data_root).images(SPRITE)[0, 0] > 0
    assert (image[:, white] == 255).all()
    background = image[:, ~white]
    assert abs(background.mean() - 127.5) < 3
    assert (background.min(), background.max()) == (0, 255)


def test_the_sprite_inverts_a_patch_mixed_with_a_colour(painted: Path) -> None:
    data = load("dsprites-scream", painted)
    empty = int(load("dsprites", painted).index([0, 0, 0, 0, 0])[0])
    one, other = images("dsprites-scream", painted, [SPRITE, empty], [9, 9])  # the same background
    white = load("dsprites", painted).images([SPRITE, empty])[:, 0] > 0
    outside = ~white[0] & ~white[1]
    assert np.array_equal(one[:, outside], other[:, outside])
    inside = white[0] & ~white[1]
    assert np.array_equal(one[:, inside], 255 - other[:, inside])
    # Twice the background less the colour is the patch, to within the bit that was cut.
    seen = other.astype(int)
    seen[:, white[1]] = 255 - seen[:, white[1]]
    numbers = virtual.draws(np.array([9]), 3)
    top, left = (int(numbers[0, k] & 0xFFFFFFFF) % (data.picture.shape[k] - 64) for k in (0, 1))
    colour = numbers[0, 2:].view(np.uint8)[:3].astype(int)
    patch = data.picture[top : top + 64, left : left + 64].transpose(2, 0, 1).astype(int)
    assert np.array_equal(seen, (patch + colour[:, None, None]) // 2)


def test_the_scream_conforms(painted: Path) -> None:
    findings = conformance.check("dataset", DSpritesScream, painted)
    assert [finding for finding in findings if finding.status != "passed"] == []


def test_a_changed_picture_is_found(painted: Path) -> None:
    content = bytearray((painted / "scream.h5").read_bytes())
    content[content.find(load("dsprites-scream", painted).picture[0].tobytes())] ^= 1
    (painted / "scream.h5").write_bytes(content)
    with pytest.raises(UserError, match=r"scream.h5 is damaged"):
        load("dsprites-scream", painted).verify()


def test_the_picture_must_be_one(data_root: Path, tmp_path: Path) -> None:
    (tmp_path / "The_Scream.jpg").write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"The_Scream.jpg is no picture that can be read .* --source PATH"):
        DSpritesScream.prepare(tmp_path)
    buffer = io.BytesIO()
    Image.new("RGB", (60, 60)).save(buffer, format="PNG")
    (tmp_path / "The_Scream.jpg").write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="60×60 when it is shrunk"):
        DSpritesScream.prepare(tmp_path)
    with pytest.raises(UserError, match="there is no such file"):
        DSpritesScream.prepare(tmp_path, source=tmp_path / "nowhere.jpg")
    assert DSpritesScream.prepared(tmp_path) is None


# --- the disc


def test_the_disc_moves_on_circles(tmp_path: Path) -> None:
    data = load("dsprites-circular", tmp_path)
    everything = data.images(np.arange(1080))[:, 0] > 0
    assert (everything.sum(axis=(1, 2)) == 97).all()
    assert len(np.unique(everything.reshape(1080, -1), axis=0)) == 878  # radius 0 is one image, and small ones repeat
    right, down = (np.argwhere(data.images(data.index([angle, 20]))[0, 0]).mean(axis=0) for angle in (0, 10))
    assert right.tolist() == [32, 52]
    assert down.tolist() == [52, 32]


def test_discs_are_those_that_pillow_draws_but_for_17(tmp_path: Path) -> None:
    """Straight up, at radius 10 and more, rounding makes the official disc a pixel wider."""
    from PIL import ImageDraw

    ours = load("dsprites-circular", tmp_path).images(np.arange(1080))[:, 0]
    different = []
    for row, (angle, radius) in enumerate(np.ndindex(40, 27)):
        canvas = Image.new("L", (64, 64))
        x, y = 32 + radius * np.cos(2 * np.pi * angle / 40), 32 + radius * np.sin(2 * np.pi * angle / 40)
        ImageDraw.Draw(canvas).ellipse((x - 5, y - 5, x + 5, y + 5), fill=255)
        if not np.array_equal(np.asarray(canvas), ours[row]):
            different.append((angle, radius))
    assert {angle for angle, _ in different} <= {30}
    assert len(different) <= 17


# --- through the suite


def test_a_virtual_dataset_is_encoded_and_scored(data_root: Path) -> None:
    """A table of 737,280 codes would take a minute, so the evaluation is cut to every hundredth sprite."""
    cls = registry.get("dataset", "dsprites-color8")

    class Sparse(cls):  # type: ignore[misc, valid-type]
        def evaluation(self) -> np.ndarray:
            return super().evaluation()[::100]

    data: Dataset = Sparse(data_root)

    class MeanColour(torch.nn.Module):
        device = torch.device("cpu")

        def encode(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.amax(dim=(2, 3))

    codes = encode_grid(MeanColour(), DeviceImages(data, torch.device("cpu"), (0.0, 1.0)))  # type: ignore[arg-type]
    assert codes.shape == (7373, 3)
    assert np.allclose(codes, data.factors(data.evaluation())[:, 5:] / 7, atol=1 / 255)
