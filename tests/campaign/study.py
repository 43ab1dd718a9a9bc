"""The study that a campaign disturbs, and what must be the same at its end."""

from disentangle_bench.trials.records import read_record

STUDY = [
    "run", "--models", "ib-gan,beta-vae,faulty", "--dataset", "tiny", "--seeds", "0-1", "--name", "s",
    "--set", "steps=150", "--set", "batch_size=8", "--set", "faulty.pause=0.02", "--set", "faulty.dropout=0.3",
    "--set", "metrics={mig: [robust]}", "--set", "intervals.checkpoint_seconds=0.2",
]  # fmt: skip


def outcome(folder):
    """Scores and codes of each trial."""
    runs = folder / "results" / "runs"
    scores = {path.parent.name: read_record(path).canonical_scores() for path in runs.glob("*/record.json")}
    return scores, {path.parent.name: path.read_bytes() for path in runs.glob("*/codes.npy")}
