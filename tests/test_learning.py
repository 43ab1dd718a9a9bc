"""Learning checks: after minutes of training, the quantity that a model exists to raise has been raised."""

import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.codes import DeviceImages, encode_grid
from disentangle_bench.contracts import CodeTable
from disentangle_bench.datasets import load
from disentangle_bench.metrics import score_table
from disentangle_bench.process import threads
from disentangle_bench.trainer import Intervals, Trainer, build_model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ib-gan", "infogan"])
def test_information_and_the_kim_score_rise_above_chance(name, data_root, tmp_path):
    dataset = load("dsprites-32", data_root)
    cls = registry.get("model", name)
    config = cls.configurations["small"]
    model = build_model(cls, config, dataset.image_shape, seed=0)
    images = DeviceImages(dataset, torch.device("cpu"), model.image_range)
    with threads(2):
        trainer = Trainer(model, images, config, 0, "learning", tmp_path / "checkpoint.pt")
        trainer.train(Intervals(diagnose=500))
        codes = encode_grid(model, images)
    last = trainer.history.curves[-1]
    assert 0.4 < last["information_lower"] < last["information_upper"], "I^L should rise and stay below I^U"
    kim = score_table("factor-vae", CodeTable.of(dataset, codes), "robust")["score"]
    assert kim > 0.3, "chance is 0.2"
