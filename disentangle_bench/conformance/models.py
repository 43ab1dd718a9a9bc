"""The checks of a model, on a few steps over little images."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor

from disentangle_bench.conformance import Fatal, Skip, require
from disentangle_bench.conformance.device import META, NoHostReads, Tape, on_device
from disentangle_bench.conformance.little import BATCH, SECONDS, STEPS, Subject, folder, moved, weights
from disentangle_bench.errors import PluginError
from disentangle_bench.evaluation.codes import encode_grid
from disentangle_bench.models.declared import refuse_incomplete
from disentangle_bench.training.engine import WARM_UP, NotCapturable, refuse_unknown_states
from disentangle_bench.training.snapshot import Snapshot
from disentangle_bench.training.step import StepState
from disentangle_bench.training.trainer import Intervals

CONSTANT = 1e-6  # of the largest code: codes that differ by no more are all the same


def declares(subject: Subject) -> None:
    """It says what it is."""
    cls = subject.cls
    try:
        refuse_incomplete(cls)
    except PluginError as error:
        raise Fatal(str(error)) from error
    for name, config in cls.configurations.items():
        again = cls.Config.model_validate(config.model_dump(mode="json"))
        require(again == config, f"configuration '{name}' doesn't survive JSON, which a trial's identity is made of")


def builds(subject: Subject) -> None:
    """The same seed gives the same weights, another seed others."""
    first, again, other = (weights(subject.build(seed=seed)) for seed in (0, 0, 1))
    require(first == again, "the same seed gave other weights: draw them from torch's global generator alone")
    require(first != other, "two seeds gave the same weights: don't seed a generator in the constructor")


def has_players(subject: Subject) -> None:
    """Each parameter belongs to one player."""
    model = subject.build()
    owners: dict[int, str] = {}
    require(model.players(), "`players` must give at least one player")
    for name, player in model.players().items():
        for parameter in player.parameters:
            other = owners.setdefault(id(parameter), name)
            require(other == name, f"a parameter belongs to both '{other}' and '{name}'; leave it to one of them")
        optimiser = player.optimiser(player.parameters)
        require(isinstance(optimiser, torch.optim.Optimizer), f"the optimiser of '{name}' is no torch optimiser")
    for name, parameter in model.named_parameters():
        lost = parameter.requires_grad and id(parameter) not in owners
        require(not lost, f"parameter '{name}' belongs to no player: add it to one, or switch off its requires_grad")


def gives_losses(subject: Subject) -> str:
    """Each player has a finite loss, at the first step and at the configuration's last."""
    last = max(1, subject.whole.steps)
    for step in (1, last):
        model = subject.build(config=subject.whole).train()
        players, seen = model.players(), set()
        for _, losses in subject.losses(model, step):
            for name, loss in losses.items():
                require(loss.isfinite(), f"the loss of '{name}' is {loss.item()} at step {step}")
            seen |= set(losses)
        missing = sorted(set(players) - seen)
        require(not missing, f"player '{missing[0] if missing else ''}' gets no loss in any of {model.phases}")
    return f"tried steps 1 and {last:,}, both with the first weights"


def keeps_losses_finite(subject: Subject) -> str:
    """Losses stay finite while it trains."""
    trained = subject.trained
    require(not trained.fault, trained.fault)
    return f"tried {trained.steps} steps of a training" + ("" if trained.whole else f", as many as {SECONDS:g} s allow")


def moves_its_own(subject: Subject) -> None:
    """Each parameter gets a gradient from its own player's loss."""
    model = subject.build().train()
    players, names = model.players(), {id(p): name for name, p in model.named_parameters()}
    for _, losses in subject.losses(model):
        for name, loss in losses.items():
            parameters = players[name].parameters
            for parameter, gradient in zip(
                parameters, torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True), strict=True
            ):
                where = names.get(id(parameter), "?")
                require(gradient is not None, f"the loss of '{name}' doesn't depend on its parameter '{where}'")


def draws_from_its_generator(subject: Subject) -> None:
    """Losses, codes and samples draw from the generator that they are given."""
    subject.needs_finite_losses()
    found = []
    for seed in (0, 1):
        model = subject.build().train()
        torch.manual_seed(seed)
        found.append([loss.item() for _, losses in subject.losses(model) for loss in losses.values()])
    require(
        found[0] == found[1],
        "losses draw from torch's global generator: give every draw `generator=rng`; dropout can't take one, "
        "so multiply by a mask drawn with it",
    )
    samples = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        samples.append(subject.build().eval().sample_codes(3, torch.Generator().manual_seed(2)))
    require(torch.equal(*samples), "`sample_codes` draws from torch's global generator: use the one that it is given")


def stays_on_the_device(subject: Subject) -> None:
    """A step needs nothing of the host, so that it can be captured as a CUDA graph."""
    model = subject.build().train()
    subject.batch()  # what is made once a run may read what it likes
    with NoHostReads():
        for _ in subject.losses(model):
            pass
    model, batch = subject.build().train().to(META), moved(subject.batch(), META)
    for copies in (True, False):  # a step before the one that is captured
        with on_device(copies):
            for _, losses in subject.losses(model, batch=batch):
                for name, loss in losses.items():
                    parameters = model.players()[name].parameters
                    torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)


def works_on_a_device(subject: Subject) -> None:
    """Codes, samples and diagnostics are made where the model is."""
    model, rng = subject.build().eval().to(META), torch.Generator()
    batch = moved(subject.batch(), META)
    with on_device(copies=True), torch.no_grad():
        codes = model.sample_codes(BATCH, rng)
        for made in (codes, model.generate(codes), model.sample_images(codes, rng), subject.codes(model, batch.images)):
            require(made.device == META, "codes or images are made on the CPU where the model isn't")
        model.diagnostics(batch, rng, torch.ones((), dtype=torch.int64, device=META))


def encodes(subject: Subject) -> None:
    """Codes are deterministic, and an image's code doesn't depend on its batch."""
    model, images = subject.build().eval(), subject.images(torch.arange(len(subject.images)))
    with torch.inference_mode():
        codes, again = subject.codes(model, images), subject.codes(model, images)
        alone = torch.cat([subject.codes(model, image) for image in images.split(1)])
    require(codes.dtype == torch.float32, f"codes must be float32, not {codes.dtype}")
    require(codes.isfinite().all(), "codes of an untrained model are not finite")
    spread = (codes - codes[:1]).abs().max()
    require(spread > CONSTANT * codes.abs().max(), "all images have the same code: what is encoded depends on no image")
    require(torch.equal(codes, again), "the same image gave two codes: encode the mean, and draw nothing")
    close = torch.allclose(codes, alone, rtol=1e-3, atol=1e-4)
    require(close, "an image's code depends on its batch: use running statistics in evaluation mode")


def generates(subject: Subject) -> None:
    """Generated images have the dataset's shape and the model's range."""
    model = subject.build().eval()
    with torch.inference_mode():
        codes = model.sample_codes(BATCH, torch.Generator().manual_seed(0))
        expected = subject.codes(model, subject.batch().images).shape
        alike = f"`sample_codes` gives {tuple(codes.shape)}, and codes of as many images are {tuple(expected)}"
        require(codes.shape == expected, alike)
        images = model.generate(codes)
        sampled = model.sample_images(codes, torch.Generator().manual_seed(0))
    require(
        sampled.shape == images.shape, f"`sample_images` gives {tuple(sampled.shape)}, `generate` {tuple(images.shape)}"
    )
    require(images.shape == (BATCH, *subject.shape), f"`generate` gives {tuple(images.shape)}, not images")
    low, high = model.image_range
    require(low < high, f"`image_range` must be (low, high), not {model.image_range}")
    inside = (images >= low - 1e-3).all() and (images <= high + 1e-3).all()
    require(inside, f"generated images leave `image_range` ({low:g} to {high:g}): end with tanh or sigmoid")


def diagnoses(subject: Subject) -> None:
    """Diagnostics are named numbers and change nothing."""
    model = subject.build().eval()
    before = weights(model)
    with torch.no_grad():
        found = model.diagnostics(subject.batch(), torch.Generator().manual_seed(0), torch.tensor(1))
    for name, value in found.items():
        require(isinstance(value, Tensor) and value.ndim == 0, f"diagnostic '{name}' must be a tensor of one number")
    require(weights(model) == before, "`diagnostics` changed the model's weights or statistics")


def trains(subject: Subject) -> None:
    """A few steps run, and every player's parameters move."""
    subject.needs_finite_losses()
    with folder() as place:
        trainer = subject.trainer(place)
        before = {name: [p.detach().clone() for p in player.parameters] for name, player in trainer.players.items()}
        trainer.train(Intervals(log=1))
        for name, player in trainer.players.items():
            moved = any(not torch.equal(a, b) for a, b in zip(before[name], player.parameters, strict=True))
            require(moved, f"player '{name}' didn't move in {STEPS} steps: does its optimiser hold its parameters?")


def resumes(subject: Subject) -> None:
    """A run that is resumed from a checkpoint equals an unbroken one to the byte."""
    subject.needs_finite_losses()
    with folder() as place:
        whole = subject.trainer(place)
        whole.train(Intervals())
        expected = encode_grid(whole.model, whole.images).tobytes()
        whole.checkpoint.unlink()

        def stop(step: int) -> None:
            if step == STEPS // 2:
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            subject.trainer(place).train(Intervals(checkpoint_seconds=0), on_step=stop)
        torch.manual_seed(12345)  # whatever else the process draws
        resumed = subject.trainer(place)
        resumed.train(Intervals())
    same = encode_grid(resumed.model, resumed.images).tobytes() == expected
    require(same, "a resumed run gave other codes: keep all state in parameters and buffers, and draw with `rng`")


def replays(subject: Subject) -> None:
    """A step that is recorded once and replayed, as a CUDA graph is, does what the written one does."""
    subject.needs_finite_losses()
    with folder() as place:
        eager, ours = (subject.trainer(place) for _ in range(2))
        for trainer in (eager, ours):
            trainer.model.train()
            try:
                refuse_unknown_states(trainer.state)
            except NotCapturable as error:
                raise Skip(f"its steps are not captured: {error}") from error
            for optimiser in trainer.state.optimisers.values():
                for group in optimiser.param_groups:
                    group |= {"fused": True} if "fused" in group else {}  # whose count of steps is a tensor
        before, tape = Snapshot(ours.state), Tape()
        for _ in range(WARM_UP):
            ours.state.advance()
        if before.changed_settings():
            raise Skip("an optimiser changes its settings from step to step, and so isn't captured")
        with tape:
            losses = ours.state.advance()
        before.restore(zero=True)

        def replay(state: StepState) -> dict[str, Tensor]:
            tape.replay()
            return losses

        ours.compute = replay
        for trainer in (eager, ours):
            torch.manual_seed(0)
            for trainer.step in range(1, STEPS + 1):
                trainer.update()
    require(
        weights(eager.model) == weights(ours.model),
        "a step that is recorded and replayed gives other weights: what it counts or computes on the host, such as a "
        "schedule in Python numbers, is frozen in a CUDA graph; make it a function of `step`, or a buffer",
    )


def restarts(subject: Subject) -> None:
    """Its events name players, and can start them anew."""
    model = subject.build()
    for step, players in model.events().items():
        require(isinstance(step, int) and step > 0, f"`events` must be keyed by steps from 1 up, not {step!r}")
        for player in players:
            require(player in model.players(), f"`events` restarts '{player}', which `players` doesn't name")
            before = [p.detach().clone() for p in model.players()[player].parameters]
            torch.manual_seed(99)
            model.reset(player)
            same = all(torch.equal(a, b) for a, b in zip(before, model.players()[player].parameters, strict=True))
            require(not same, f"`reset` left the weights of '{player}' as they were")


CHECKS = [
    declares, builds, has_players, gives_losses, keeps_losses_finite, moves_its_own, draws_from_its_generator,
    stays_on_the_device, works_on_a_device, encodes, generates, diagnoses, trains, resumes, replays, restarts,
]  # fmt: skip

ABOUT = {  # the method that a check looks at
    "builds": "__init__", "has_players": "players", "gives_losses": "losses", "keeps_losses_finite": "losses",
    "moves_its_own": "losses", "draws_from_its_generator": "losses", "stays_on_the_device": "losses",
    "encodes": "encode", "generates": "generate", "diagnoses": "diagnostics", "restarts": "events",
}  # fmt: skip
