"""MINE: how much two random vectors know of one another, estimated without any model of their distribution.

Belghazi et al., "Mutual Information Neural Estimation", ICML 2018: I(X; Y) ≥ E_p(x,y)[T] − log E_p(x)p(y)[e^T] for
every function T; a network is trained to raise that bound. It is an independent check of the bounds that models report.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Model

SHUFFLES = 20  # pairings of the held-out rows that stand for p(x)p(y)


def mutual_information(
    x: Tensor,
    y: Tensor,
    rng: torch.Generator,
    steps: int = 2_000,
    batch_size: int = 512,
    hidden: int = 128,
    lr: float = 1e-3,
    decay: float = 0.99,
) -> float:
    """I(X; Y) in nats, 0 or more, from rows that were drawn together: x (N, ...) and y (N, ...), float32.

    T is an MLP of two hidden layers on both, standardised; it learns from one half of the rows, and the bound is taken
    on the other, so that what it learned by heart counts nothing. The gradient of the logarithm divides by a moving
    average of E[e^T] (section 3.2 of the paper), as the batch's own would bias it. More than log(N/2) nats can't be
    told from N rows. `rng` gives the initial weights' seed and every draw, so the same generator gives the same number.
    """
    x, y = x.flatten(1), y.flatten(1)
    if len(x) != len(y) or len(x) < 4:
        raise UserError(f"x and y must have the same rows, at least 4; they have {len(x)} and {len(y)}.")
    x, y = standardised(x), standardised(y)
    half = len(x) // 2
    order = torch.randperm(len(x), generator=rng, device=x.device)
    train, test = order[:half], order[half:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng, device=x.device)))
        critic = nn.Sequential(
            nn.Linear(x.shape[1] + y.shape[1], hidden), nn.ELU(),
            nn.Linear(hidden, hidden), nn.ELU(),
            nn.Linear(hidden, 1),
        ).to(x.device)  # fmt: skip
    optimiser = torch.optim.Adam(critic.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    average = torch.ones((), device=x.device)  # of E[e^T]
    for _ in range(steps):
        rows = train[torch.randint(half, (batch_size,), generator=rng, device=x.device)]
        others = train[torch.randint(half, (batch_size,), generator=rng, device=x.device)]
        joint = critic(torch.cat([x[rows], y[rows]], dim=1)).mean()
        marginal = critic(torch.cat([x[rows], y[others]], dim=1)).exp().mean()
        average = decay * average + (1 - decay) * marginal.detach()
        optimiser.zero_grad()
        (marginal / average - joint).backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        joint = critic(torch.cat([x[test], y[test]], dim=1)).double().mean()
        shuffled = [test[torch.randperm(len(test), generator=rng, device=x.device)] for _ in range(SHUFFLES)]
        values = torch.cat([critic(torch.cat([x[test], y[other]], dim=1)) for other in shuffled]).double()
        log_mean = torch.logsumexp(values.flatten(), dim=0) - torch.log(torch.tensor(float(len(values))))
    return max(0.0, (joint - log_mean).item())


def code_information(model: Model, rng: torch.Generator, samples: int = 10_000, steps: int = 2_000) -> float:
    """I(c; q(G(c, z))) in nats: what a trained model's codes still tell after generation and encoding, by MINE.

    By the data processing inequality it is no more than I(c; G(c, z)), of which a model's `information_lower` is a
    bound. Images themselves are too wide for a critic of this kind; the model's own encoder sums them up.
    """
    model.eval()
    with torch.no_grad():
        codes = model.sample_codes(samples, rng)
        read = torch.cat([model.encode(model.sample_images(block, rng)) for block in codes.split(500)])
    return mutual_information(codes, read, rng, steps)


def standardised(values: Tensor) -> Tensor:
    """Columns of (N, D) with mean 0 and spread 1; constants 0."""
    centred = values - values.mean(dim=0)
    spread = centred.std(dim=0)
    return centred / torch.where(spread > 0, spread, torch.ones_like(spread))
