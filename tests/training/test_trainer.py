"""The training loop: the same bytes whatever interrupts it, checkpoints that are whole, a guard against divergence."""

from pathlib import Path

import numpy as np
import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.errors import PluginError, UserError
from disentangle_bench.evaluation.codes import encode_grid, encode_images
from disentangle_bench.models.base import Batch, Model
from disentangle_bench.training.checkpoints import load_checkpoint
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.trainer import Diverged, Intervals, Trainer, build_model

pytestmark = pytest.mark.usefixtures("place")


class Interrupted(Exception):
    """Stands for the process ending between two steps."""


def trainer(folder: Path, model: str = "ib-gan", seed: int = 0, **changes) -> Trainer:
    cls = registry.get("model", model)
    config = cls.configurations["small"].model_copy(update={"steps": 12, "batch_size": 8, **changes})
    dataset = registry.get("dataset", "tiny")(folder)
    built = build_model(cls, config, dataset.image_shape, seed, dataset.classes())
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
        ("ib-gan", {"architecture": "b", "real_label_low": 0.7, "real_label_high": 1.2}),
        ("faulty", {"dropout": 0.5}),
        ("dcgan", {}),
        ("cgan", {"optimiser": "sgd", "d_lr": 0.1, "g_lr": 0.1, "dropout": 0.5}),
        ("infogan-original", {}),
        ("infogan-modified", {}),
        ("infogan-cr", {"switch_step": 7}),
        ("c-infogan", {}),
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

    with pytest.raises(Interrupted):
        trainer(tmp_path, model, **changes).train(intervals, on_step=stop_after(5))
    torch.randn(7)  # whatever the process did meanwhile
    resumed = trainer(tmp_path, model, **changes)
    starts: list[int] = []
    resumed.train(intervals, on_start=starts.append)
    assert starts == [5]
    assert result(resumed) == expected


def stop_after(last: int):
    """An `on_step` that ends the process, as it were, after this step."""

    def stop(step: int) -> None:
        if step == last:
            raise Interrupted

    return stop


def test_phases_run_in_order_and_each_sees_what_the_one_before_it_left(tmp_path):
    ours = trainer(tmp_path, "turns")
    steady, fresh = ours.model.steady.weight.clone(), ours.model.fresh.weight.clone()
    ours.step = 1
    losses = ours.update()
    (a, *first), (b, *second), (c, *third) = ours.model.diary
    assert (a, b, c) == ("one", "two", "one")
    assert torch.equal(first[0], steady)
    assert torch.equal(first[1], fresh)
    assert not torch.equal(second[0], steady), "`one` moved steady"
    assert torch.equal(second[1], fresh), "and nothing else"
    assert torch.equal(third[0], second[0]), "`two` left steady alone"
    assert not torch.equal(third[1], fresh), "and moved fresh through the graph that `begin` made"
    assert not torch.equal(ours.model.steady.weight, third[0]), "`one` moved steady again"
    assert set(losses) == {"steady", "fresh"}


def test_a_phase_that_uses_shared_work_has_its_true_gradient(tmp_path):
    ours, reference = trainer(tmp_path, "turns"), trainer(tmp_path, "turns")
    ours.step = 1
    ours.update()
    model, step = reference.model, torch.ones((), dtype=torch.int64)
    batch = reference.state.batch(reference.state.rng)
    shared = model.begin(batch, reference.state.rng, step)
    for phase, player in (("one", "steady"), ("two", "fresh")):
        loss = getattr(model, phase)(shared, reference.state.rng, step)[player]
        loss.backward(inputs=reference.players[player].parameters, retain_graph=True)
        reference.state.optimisers[player].step()
    assert torch.equal(ours.model.fresh.weight, model.fresh.weight)


def test_a_conditional_model_gets_each_images_label_and_a_second_batch(tmp_path):
    ours = trainer(tmp_path, "turns")
    ours.step = 1
    ours.update()
    [batch] = ours.model.batches
    assert ours.model.classes == 3
    dataset = ours.images.dataset
    everything = ours.images(torch.arange(len(dataset)))
    rows = [int((everything == image).flatten(1).all(dim=1).int().argmax()) for image in batch.images]
    assert batch.labels.tolist() == dataset.labels(rows).tolist()
    assert batch.second.shape == batch.images.shape
    assert not torch.equal(batch.second, batch.images)


@pytest.mark.parametrize("name", ["turns", "cgan", "c-infogan"])
def test_a_conditional_model_on_a_dataset_without_labels_gets_a_sentence(name):
    cls = registry.get("model", name)
    with pytest.raises(UserError, match=rf"^{name} is given class labels, and this dataset has none; choose another"):
        build_model(cls, cls.configurations["small"], (1, 16, 16), 0, 0)


def test_a_model_without_losses_gets_a_sentence(tmp_path):
    class Nothing(registry.get("model", "faulty")):
        losses = Model.losses

    cls = registry.get("model", "faulty")
    with pytest.raises(PluginError, match="it does not define `losses`, nor names other methods in `phases`"):
        build_model(Nothing, cls.configurations["small"], (1, 16, 16), 0)


def test_an_event_restarts_a_players_weights_and_optimiser_and_nothing_else(tmp_path):
    ours, plain = trainer(tmp_path, "turns", restart_at=6), trainer(tmp_path, "turns")
    for each in (ours, plain):
        for each.step in range(1, 6):
            each.update()
    assert torch.equal(ours.model.fresh.weight, plain.model.fresh.weight)
    before = ours.model.steady.weight.clone()
    ours.step = 6
    ours.restart("fresh")
    assert not torch.equal(ours.model.fresh.weight, plain.model.fresh.weight)
    assert torch.equal(ours.model.steady.weight, before)
    assert ours.state.optimisers["fresh"].state_dict()["state"] == {}
    assert len(ours.state.optimisers["steady"].state_dict()["state"]) == 2
    weights = ours.model.fresh.weight.clone()
    ours.update()  # restarts once more, to the same weights, then moves them
    assert torch.equal(ours.model.diary[-3][2], weights)
    state = ours.state.optimisers["fresh"].state_dict()["state"]
    assert {int(parameter["step"]) for parameter in state.values()} == {1}


def test_an_event_draws_other_weights_for_another_seed_and_none_from_the_training(tmp_path):
    weights = []
    for seed in (0, 0, 1):
        ours = trainer(tmp_path, "turns", seed=seed)
        ours.step = 6
        before, drawn = torch.get_rng_state(), ours.state.rng.get_state()
        ours.restart("fresh")
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(ours.state.rng.get_state(), drawn)
        weights.append(ours.model.fresh.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("model", "changes"), [("turns", {"restart_at": 6}), ("infogan-cr", {"switch_step": 6})])
@pytest.mark.parametrize("last", [4, 5, 6, 7])
def test_a_training_resumed_around_an_event_equals_an_unbroken_one(tmp_path, model, changes, last):
    intervals = Intervals(log=1, checkpoint_seconds=0)
    whole = trainer(tmp_path, model, **changes)
    whole.train(intervals)
    expected = result(whole)
    whole.checkpoint.unlink()
    with pytest.raises(Interrupted):
        trainer(tmp_path, model, **changes).train(intervals, on_step=stop_after(last))
    resumed = trainer(tmp_path, model, **changes)
    starts: list[int] = []
    resumed.train(intervals, on_start=starts.append)
    assert starts == [last]
    assert result(resumed) == expected
    plain = trainer(tmp_path, model, **dict.fromkeys(changes, 100))
    plain.checkpoint.unlink()
    plain.train(intervals)
    assert result(plain) != expected, "the event mattered"


def test_infogan_cr_is_infogan_modified_until_its_switch(tmp_path):
    """H sees the others' images and moves nothing of theirs: the same codes, to the byte."""
    codes = []
    for model, changes in (
        ("infogan-modified", {}),
        ("infogan-cr", {"switch_step": 10}),
        ("infogan-cr", {"switch_step": 7}),
    ):
        trained = trainer(tmp_path, model, steps=9, **changes)
        trained.train(Intervals())
        trained.checkpoint.unlink()
        codes.append(result(trained)[0])
    assert codes[0] == codes[1]
    assert codes[0] != codes[2]


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
    index = torch.randint(96, (8,), generator=reference.state.rng)
    step = torch.ones((), dtype=torch.int64)
    losses = reference.model.losses(Batch(reference.images(index)), reference.state.rng, step)
    for name, player in reference.players.items():
        grads = torch.autograd.grad(losses[name], player.parameters, retain_graph=True)
        for parameter, grad in zip(player.parameters, grads, strict=True):
            parameter.grad = grad
    for optimiser in reference.state.optimisers.values():
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


@pytest.mark.parametrize(
    ("seconds", "kept"), [(60.0, [5, 10, 20, 40, 80, 140, 200]), (0.0, [0, 0]), (float("inf"), [float("inf")])]
)
def test_the_first_checkpoints_come_early(seconds, kept):
    """Who presses Ctrl-C in the first minute loses no more than half of what was trained."""
    intervals, times = Intervals(checkpoint_seconds=seconds), [0.0]
    for _ in kept:
        times.append(times[-1] + intervals.until_checkpoint(times[-1]))
    assert times[1:] == kept
