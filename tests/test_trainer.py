"""The training loop: the same bytes whatever interrupts it, checkpoints that are whole, a guard against divergence."""

from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.codes import DeviceImages, encode_grid, encode_images
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Batch
from disentangle_bench.trainer import Diverged, Intervals, Trainer, build_model, load_checkpoint

pytestmark = pytest.mark.usefixtures("place")


class Interrupted(Exception):
    """Stands for the process ending between two steps."""


def trainer(folder: Path, model: str = "ib-gan", seed: int = 0, **changes) -> Trainer:
    cls = registry.get("model", model)
    config = cls.configurations["small"].model_copy(update={"steps": 12, "batch_size": 8, **changes})
    dataset = registry.get("dataset", "tiny")(folder)
    built = build_model(cls, config, dataset.image_shape, seed)
    images = DeviceImages(dataset, torch.device("cpu"), built.image_range)
    return Trainer(built, images, config, seed, "trial", folder / "checkpoint.pt")


def result(trained: Trainer) -> tuple[bytes, list[dict[str, float]]]:
    return encode_grid(trained.model, trained.images).tobytes(), trained.history.curves


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("gan", {}),
        ("infogan", {}),
        ("ib-gan", {"optimiser": "rmsprop"}),
        ("faulty", {"dropout": 0.5}),
        ("vae", {}),
        ("beta-vae", {"architecture": "burgess"}),
        ("annealed-vae", {"c_steps": 8}),
        ("factor-vae", {}),
        ("factor-vae", {"permute_from": "second-batch"}),
        ("factor-vae", {"permute_from": "half-batch"}),
        ("beta-tcvae", {}),
        ("dip-vae-i", {"architecture": "locatello"}),
        ("dip-vae-ii", {"architecture": "kim"}),
    ],
)
def test_a_resumed_training_equals_an_unbroken_one_to_the_byte(tmp_path, model, changes):
    intervals = Intervals(log=1, diagnose=3, checkpoint_seconds=0)
    whole = trainer(tmp_path, model, **changes)
    whole.train(intervals)
    expected = result(whole)
    whole.checkpoint.unlink()

    def stop(step: int) -> None:
        if step == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        trainer(tmp_path, model, **changes).train(intervals, on_step=stop)
    torch.randn(7)  # whatever the process did meanwhile
    resumed = trainer(tmp_path, model, **changes)
    starts: list[int] = []
    resumed.train(intervals, on_start=starts.append)
    assert starts == [5]
    assert result(resumed) == expected


def test_logging_scoring_and_saving_more_often_change_nothing(tmp_path):
    quiet = trainer(tmp_path)
    quiet.train(Intervals(log=0, diagnose=0))
    quiet.checkpoint.unlink()
    busy = trainer(tmp_path)
    busy.train(
        Intervals(log=1, diagnose=1, score=2, checkpoint_seconds=0),
        score=lambda m, s: {"n": len(encode_grid(m, busy.images))},
    )
    assert result(quiet)[0] == result(busy)[0]
    assert [row["step"] for row in busy.history.scores] == [2, 4, 6, 8, 10]
    assert [row["step"] for row in quiet.history.curves] == [12]


def test_another_seed_gives_another_model(tmp_path):
    a, b = trainer(tmp_path, seed=0), trainer(tmp_path, seed=1)
    a.train(Intervals())
    a.checkpoint.unlink()
    b.train(Intervals())
    assert result(a)[0] != result(b)[0]


def test_each_player_moves_only_against_its_own_loss(tmp_path):
    """One step of the trainer equals, player by player, one step of that player's optimiser on its own gradient."""
    ours = trainer(tmp_path)
    reference = trainer(tmp_path)
    index = torch.randint(96, (8,), generator=reference.rng)
    step = torch.ones((), dtype=torch.int64)
    losses = reference.model.losses(Batch(reference.images(index)), reference.rng, step)
    for name, player in reference.players.items():
        grads = torch.autograd.grad(losses[name], player.parameters, retain_graph=True)
        for parameter, grad in zip(player.parameters, grads, strict=True):
            parameter.grad = grad
    for optimiser in reference.optimisers.values():
        optimiser.step()
    ours.step = 1
    ours.update()
    assert all(torch.equal(a, b) for a, b in zip(ours.model.parameters(), reference.model.parameters(), strict=True))


def test_divergence_ends_the_training_before_a_checkpoint_is_written(tmp_path):
    diverging = trainer(tmp_path, "faulty", diverge_at=4)
    with pytest.raises(Diverged, match="at or before step 4 of 12"):
        diverging.train(Intervals(checkpoint_seconds=0))
    assert load_checkpoint(diverging.checkpoint, "trial")["step"] == 3


def test_divergence_between_log_points_is_not_missed(tmp_path):
    with pytest.raises(Diverged, match="at or before step 12"):
        trainer(tmp_path, "faulty", diverge_at=4).train(Intervals(log=100))


def test_a_budget_of_no_steps_keeps_the_untrained_network(tmp_path):
    untrained = trainer(tmp_path, steps=0)
    before = result(untrained)[0]
    untrained.train(Intervals())
    assert load_checkpoint(untrained.checkpoint, "trial")["step"] == 0
    assert result(untrained)[0] == before


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_truncated_checkpoint_gets_a_sentence(tmp_path, size):
    whole = trainer(tmp_path)
    whole.train(Intervals())
    whole.checkpoint.write_bytes(whole.checkpoint.read_bytes()[:size])
    with pytest.raises(UserError, match=r"checkpoint\.pt is damaged or truncated.*delete it"):
        trainer(tmp_path).train(Intervals())


def test_a_checkpoint_with_one_changed_bit_gets_a_sentence(tmp_path):
    whole = trainer(tmp_path)
    whole.train(Intervals())
    content = bytearray(whole.checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    whole.checkpoint.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        trainer(tmp_path).train(Intervals())


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"format": 1, "trial": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(tmp_path / "checkpoint.pt", "trial")
    assert not (tmp_path / "executed").exists()


def test_another_trials_checkpoint_is_refused(tmp_path):
    whole = trainer(tmp_path)
    whole.train(Intervals())
    with pytest.raises(UserError, match="belongs to trial trial, not other"):
        load_checkpoint(whole.checkpoint, "other")


def test_no_partial_file_stays_behind(tmp_path):
    trainer(tmp_path).train(Intervals(checkpoint_seconds=0))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_codes_of_images_are_those_of_the_grid(tmp_path):
    trained = trainer(tmp_path)
    trained.train(Intervals())
    table = encode_grid(trained.model, trained.images)
    alone = encode_images(trained.model, trained.images.dataset.images([3, 50]))
    np.testing.assert_allclose(alone, table[[3, 50]], rtol=1e-4, atol=1e-6)
    assert table.dtype == np.float32


def test_images_reach_the_model_in_its_own_range(tmp_path):
    dataset = registry.get("dataset", "tiny")(tmp_path)
    index = torch.arange(5)
    for low, high in ((-1.0, 1.0), (0.0, 1.0)):
        images = DeviceImages(dataset, torch.device("cpu"), (low, high))(index)
        assert (images.min().item(), images.max().item()) == (low, high)
