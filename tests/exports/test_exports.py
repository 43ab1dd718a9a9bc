"""An exported model: it gives the trial's own codes and images without this package, and says what it is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from disentangle_bench import load_trial, registry
from disentangle_bench.conformance.little import Subject
from disentangle_bench.datasets import load
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.calibration import calibrate
from disentangle_bench.evaluation.codes import encode_images
from disentangle_bench.exports.folder import export_trial, write_all
from disentangle_bench.exports.programs import NoOnnx, onnx_file, programs, torch_file
from disentangle_bench.pictures.traversal import sweeps, traverse
from disentangle_bench.studies.config import load_study, resolve_trials
from disentangle_bench.trials.pending import Scoring, TrialOptions
from disentangle_bench.trials.records import Workspace
from disentangle_bench.trials.spec import TrialSpec
from disentangle_bench.trials.trial import run_trial
from tests.helpers import PLUGINS, little

CLOSE = {"rtol": 1e-3, "atol": 1e-5}
FILES = {
    "README.md", "config.json", "encoder.onnx", "encoder.pt2", "generator.onnx", "generator.pt2", "model.safetensors",
    "traversal.gif", "use.py",
}  # fmt: skip
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


def trained(place: Workspace, model: str, *metrics: str) -> str:
    """The id of a trial of a few steps, with these scores."""
    changes = {"models": model, "datasets": "tiny", "seeds": "0", "name": "study"}
    study = load_study(None, changes, ["steps=20", "batch_size=8"])
    [spec] = resolve_trials(study, {"tiny": load("tiny", place.data)})
    assert (
        run_trial(spec, place, TrialOptions(Scoring({metric: ["robust"] for metric in metrics}, 1))).status
        == "finished"
    )
    return spec.id


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A trial of IB-GAN, whose floors are known, and the folder that it was exported to."""
    for plugin in PLUGINS:
        registry.load_plugin(plugin)
    root = tmp_path_factory.mktemp("exports")
    place = Workspace(root / "results", root / "data", PLUGINS)
    id, tiny = trained(place, "ib-gan", "mig", "dci"), load("tiny", place.data)
    ends = calibrate(tiny, "mig", "robust", 10, place.results / "runs" / "calibration")
    trial = load_trial(id, place.results, place.data)
    written = export_trial(trial, root / "out" / "model")
    return SimpleNamespace(folder=root / "out" / "model", trial=trial, images=tiny.rows, ends=ends, written=written)


def test_it_holds_these_files_whole(made) -> None:
    assert {path.name for path in made.folder.iterdir()} == {path.name for path in made.written} == FILES


def test_its_encoder_gives_the_trials_stored_codes(made) -> None:
    encoder = torch.export.load(made.folder / "encoder.pt2").module()
    images = torch.from_numpy(made.images) / 255
    codes = encoder(images).detach().numpy()
    assert np.ptp(made.trial.codes, axis=0).min() > 0, "the codes differ, so that equal ones say something"
    np.testing.assert_allclose(codes, made.trial.codes, **CLOSE)
    np.testing.assert_allclose(encoder(images[:1]).detach(), made.trial.codes[:1], **CLOSE)


def test_its_generator_gives_the_trials_images_and_lets_gradients_through(made) -> None:
    generator = torch.export.load(made.folder / "generator.pt2").module()
    codes = torch.from_numpy(made.trial.codes).requires_grad_()
    images = generator(codes)
    expected = made.trial.generate(made.trial.codes).astype(int)
    assert np.abs((images.detach().numpy() * 255).round() - expected).max() <= 1
    images.mean().backward()
    assert codes.grad.abs().max() > 0


def test_onnx_gives_the_same(made) -> None:
    import onnxruntime

    encoder, generator = (
        onnxruntime.InferenceSession(made.folder / f"{name}.onnx") for name in ("encoder", "generator")
    )
    (codes,) = encoder.run(["codes"], {"images": made.images.astype(np.float32) / 255})
    np.testing.assert_allclose(codes, made.trial.codes, **CLOSE)
    (images,) = generator.run(["images"], {"codes": codes[:5]})
    assert np.abs((images * 255).round() - made.trial.generate(codes[:5])).max() <= 1


def test_its_scripts_run_where_this_package_can_not_be_imported(made, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (made.folder / "README.md").read_text(), flags=re.DOTALL)
    script = (made.folder / "use.py").read_text()
    assert blocks[0] == script
    assert len(re.findall(r"^.*\w.*$", script, flags=re.MULTILINE)) <= 12, "short enough to read"
    for name in ("disentangle_bench", "numpy", "safetensors"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name} is not here')")
    printed = ran([str(made.folder / "use.py")], tmp_path, tmp_path)
    assert printed.startswith("codes\ntensor(")
    assert "encoded again\ntensor(" in printed
    (tmp_path / "numpy.py").unlink()
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('torch is not here')")
    assert ran(["-c", blocks[1]], tmp_path, made.folder).startswith("(3, 1, 16, 16) [[")


def ran(words: list[str], hidden: Path, folder: Path) -> str:
    """What Python prints in a folder, where each module in `hidden` can't be imported."""
    check = subprocess.run(
        [sys.executable, "-c", "import disentangle_bench"], env=os.environ | {"PYTHONPATH": str(hidden)}, cwd=folder,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "is not here" in check.stderr
    done = subprocess.run(
        [sys.executable, *words],
        env=os.environ | {"PYTHONPATH": str(hidden)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_weights_are_the_models(made) -> None:
    loaded, state = load_file(made.folder / "model.safetensors"), made.trial.model.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    with safe_open(made.folder / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "trial": made.trial.record.id, "model": "ib-gan"}


def test_each_program_holds_the_weights_that_it_needs_and_no_others(made) -> None:
    names = [set(torch.export.load(made.folder / f"{name}.pt2").state_dict) for name in ("encoder", "generator")]
    assert all("reconstructor" in name or "embedding" in name for name in names[0])
    assert all("generator" in name for name in names[1])


def test_its_configuration_is_the_trials_identity(made) -> None:
    content = json.loads((made.folder / "config.json").read_text())
    fields = {name: content[name] for name in TrialSpec.model_fields if name in content}
    assert TrialSpec(**fields).id == made.trial.record.id
    assert (content["image_shape"], content["code_width"], content["code_range"]) == ([1, 16, 16], 10, [-2.0, 2.0])
    assert content["scores"] == made.trial.scores


def test_its_card_says_what_it_scored_by_which_protocol_and_with_what(made) -> None:
    card, record = (made.folder / "README.md").read_text(), made.trial.record
    ends = made.ends["score"]
    score = f"{record.scores['mig']['robust']['score']:.4f}"
    assert f"| mig | `robust` | score | {score} | {ends['floor']:.3f} | {ends['ceiling']:.3f} | higher |" in card
    completeness = f"{record.scores['dci']['robust']['completeness']:.4f}"
    assert f"| dci | `robust` | completeness | {completeness} |  |  | higher |" in card, "its floor was never computed"
    environment = f"torch {record.environment['torch']}"
    said = (
        "Jeon et al. 2021",
        "| `beta` | 0.141 |",
        "Chen et al., Isolating Sources",
        "float32 (N, 1, 16, 16), 0 to 1",
    )
    for text in ("# ib-gan on tiny, seed 0", record.id, environment, *said):
        assert text in card
    assert not re.search(r"(?i)\| (nan|none) \|", card)


def test_its_traversal_moves_over_the_values_of_the_picture_and_back(made) -> None:
    expected = traverse(made.trial.model, 0, sweeps(made.trial.model))
    with Image.open(made.folder / "traversal.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (20, 0)
        for frame, value in ((0, 0), (10, 10), (19, 1)):
            gif.seek(frame)
            pixels = np.asarray(gif.convert("L")).reshape(64, -1)[::4, ::4]
            tile = pixels[:, 3 * 18 : 3 * 18 + 16]  # of code 3; tiles are 16 pixels and a gap of 2
            np.testing.assert_array_equal(tile, expected[3][value][0])


def test_a_folder_that_holds_something_is_refused(made, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"it holds notes\.txt already; name a folder that is new or empty"):
        export_trial(made.trial, tmp_path)
    with pytest.raises(UserError, match="is a file, not a folder"):
        export_trial(made.trial, tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_where_one_file_can_not_be_written_none_is_left(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="first can't be created"):
        write_all(tmp_path / "new", {"first": b"1", "first/second": b"2"})
    assert not (tmp_path / "new").exists()
    (tmp_path / "there" / "second").mkdir(parents=True)
    with pytest.raises(UserError, match="second can't be written"):
        write_all(tmp_path / "there", {"first": b"1", "second": b"2"})
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["second"]


def reproduces(name: str, onnx: bool) -> None:
    """Both programs of a model give what it gives itself, for any number of images."""
    import io

    import onnxruntime

    subject = Subject(registry.get("model", name))
    model, classes = subject.build().eval(), subject.images.dataset.classes()
    made, rows = programs(model, classes, 0), subject.images.dataset.rows
    encoder, generator = (torch.export.load(io.BytesIO(torch_file(made[each]))) for each in ("encoder", "generator"))
    for count in (1, 2, 48):
        codes = encode_images(model, rows[:count])
        found = encoder.module()(torch.from_numpy(rows[:count]) / 255).detach()
        np.testing.assert_allclose(found, codes, **CLOSE)
        images = generator.module()(torch.from_numpy(codes), *[torch.arange(count) % classes] * model.conditional)
        assert images.shape == rows[:count].shape
        assert 0 <= images.min() <= images.max() <= 1
    if onnx:
        labels = ["labels"] * model.conditional
        onnx_file(made["generator"], ["codes", *labels], "images")
        session = onnxruntime.InferenceSession(onnx_file(made["encoder"], ["images"], "codes"))
        found = session.run(None, {"images": rows.astype(np.float32) / 255})[0]
        np.testing.assert_allclose(found, encode_images(model, rows), **CLOSE)


def test_noise_beside_the_codes_is_kept() -> None:
    reproduces("infogan-modified", onnx=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_every_model_is_exported(name: str) -> None:
    reproduces(name, onnx=True)


def test_a_conditional_models_generator_takes_the_class(place) -> None:
    subject = Subject(registry.get("model", "cgan"))
    model = subject.build().eval()
    program = programs(model, 3, 0)["generator"]
    codes, labels = program.example_inputs[0]
    with torch.no_grad():
        images = program.module()(codes, torch.full_like(labels, 2))
        np.testing.assert_allclose(images, model.generate_class(codes, torch.full_like(labels, 2)), **CLOSE)
        assert not torch.allclose(images, program.module()(codes, torch.zeros_like(labels)))


def test_a_plugin_that_looks_at_values_is_told_where(place, tmp_path: Path) -> None:
    branch = (
        "return self.encoder(images)",
        "return self.encoder(images) if images.sum() > 0 else images.flatten(1)[:, :3]",
    )
    registry.load_plugin(little(tmp_path / "mine.py", "mine", branch))
    trial = load_trial(trained(place, "mine"), place.results, place.data)
    with pytest.raises(
        UserError, match=r"the model 'mine' \(.*mine\.py:\d+\) can't be exported: .*without Python's `if`"
    ):
        export_trial(trial, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_operation_that_onnx_lacks_leaves_the_rest(place, tmp_path: Path, capsys) -> None:
    bessel = ("return self.encoder(images)", "return torch.special.bessel_j0(self.encoder(images))")
    registry.load_plugin(little(tmp_path / "other.py", "other", bessel))
    export_trial(load_trial(trained(place, "other"), place.results, place.data), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {name for name in FILES if "onnx" not in name}
    assert "no ONNX files: torch can't write the model as ONNX" in capsys.readouterr().err
    assert "onnx" not in (tmp_path / "out" / "README.md").read_text().lower()


def test_without_the_extra_it_is_named(made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disentangle_bench.exports.programs.ONNX_PACKAGES", ("onnx", "not_installed"))
    with pytest.raises(NoOnnx, match=r"not_installed not installed; pip install 'disentangle-bench\[onnx\]'"):
        onnx_file(torch.export.load(made.folder / "encoder.pt2"), ["images"], "codes")
