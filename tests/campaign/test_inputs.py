"""200 mutated inputs: arguments, study files, tables, arrays, archives. Each is used, or refused in a sentence."""

import io
import random
import tarfile
import zipfile
from itertools import product

import numpy as np
import pytest
from PIL import Image

from disentangle_bench.datasets import load
from tests.helpers import call_command

pytestmark = pytest.mark.slow

TIMES = 40
ODD = [
    "", " ", "-", "--", "-1", "0", "1e999", "nan", "None", "[]", "{}", "../x", "/", "~", "a" * 5000, "é\u202e𝟘", "%s",
    "$(id)", "'", '"', ";", ",", "=", "a=b=c", "0-99999999999", "5-1", "\t", "\n", "<b>", "=cmd|' /C calc'!A0",
]  # fmt: skip
COMMANDS = [
    "run --models beta-vae --dataset dsprites-circular --seeds 0-2 --set steps=9 --set beta-vae.beta=4 --name n",
    "run quickstart --dry-run --set seeds=[0] --concurrent 2",
    "run --models ib-gan,infogan --dataset dsprites-circular --set metrics=[mig] --score-every 5 --pack auto",
    "score --codes codes.npz --metric mig --metric dci/robust --repeats 2 --seed 1",
    "leaderboard quickstart --out table.csv",
    "compare quickstart --metric factor-vae --models gan,infogan",
    "datasets show dsprites-circular --out picture.png",
    "datasets verify dsprites-circular",
    "status quickstart",
    "why 3f9a",
    "models beta-vae",
    "metrics mig",
    "presets quickstart",
]  # fmt: skip
STUDY = """
name: mine
description: a study of two
models: [beta-vae, ib-gan]
datasets: [dsprites-circular]
seeds: 0-3
steps: 20
configuration: auto
sweep: {beta-vae: {beta: [1, 4]}}
overrides: {ib-gan: {beta: 0.2}}
metrics: {mig: [robust], dci: [robust]}
comparisons: {udr: [spearman]}
repeats: 2
intervals: {log: 10, checkpoint_seconds: 5}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A place with a prepared dataset, codes, a study file, and a folder of images with factors."""
    root = tmp_path_factory.mktemp("inputs")
    load("dsprites-circular", root / "data")
    np.savez(root / "codes.npz", **arrays())
    return root


def arrays():
    """Codes and factors of a full grid of 64 images."""
    factors = np.array(list(product(range(4), repeat=3)))
    codes = factors + np.random.default_rng(0).normal(scale=0.1, size=factors.shape)
    return {"codes": codes, "factors": factors}


def squares():
    """Sixteen images and their factors: contents by file name."""
    lines, files = ["file,brightness,corner"], {}
    for brightness, corner in product(range(4), range(4)):
        image = Image.new("L", (8, 8), 60 * brightness)
        image.paste(255, (4 * (corner % 2), 4 * (corner // 2), 4 * (corner % 2) + 4, 4 * (corner // 2) + 4))
        image.save(file := io.BytesIO(), "PNG")
        files[f"{brightness}-{corner}.png"] = file.getvalue()
        lines.append(f"{brightness}-{corner}.png,{brightness},{corner}")
    return files | {"factors.csv": "\n".join(lines).encode()}


def used_or_refused(root, *words):
    """A command in this process: status 0, or 2 and one sentence; nothing in between, and never a traceback."""
    done = call_command(root, *words, plugins=False, DISENTANGLE_BENCH_DATA=str(root / "data"))
    said = f"{words}: status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}"
    assert done.returncode in (0, 2), said
    assert "Traceback" not in done.stdout + done.stderr, said
    if done.returncode == 2:
        assert done.stderr.count("Error: ") + done.stderr.count("─ Error ─") == 1, said
    return done


def mutated_bytes(data, rng):
    """Bytes with one random change: flipped, cut, doubled, dropped, or something odd put in."""
    at = rng.randrange(len(data))
    upto = min(len(data), at + rng.choice([1, 2, 8, 50]))
    odd = rng.choice([text.encode() for text in ODD[:-1]] + [b"\0", b"\xff\xfe", b"\xef\xbb\xbf"])
    return rng.choice(
        [
            data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :],
            data[:at],
            data[:at] + data[at:upto] * 2 + data[upto:],
            data[:at] + data[upto:],
            data[:at] + odd + data[upto:],
        ]
    )


def mutated_text(text, rng):
    """Text with one to three words or lines changed."""
    words = text.split(" ")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(words))
        new = [[], [rng.choice(ODD)], [words[at]] * 2, [rng.choice(words)], [words[at][::-1]]]
        words[at : at + 1] = rng.choice(new)
    return " ".join(words)


def rngs(kind):
    """A generator a time, so that each case can be made again alone."""
    return [random.Random(f"{kind} {time}") for time in range(TIMES)]


def test_arguments(root, record_property):
    for rng in rngs("arguments"):
        words = rng.choice(COMMANDS).split(" ")
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(1, len(words))
            new = [[], [rng.choice(ODD)], [words[at]] * 2, [rng.choice(words)], [words[at] + rng.choice(ODD)]]
            words[at : at + 1] = rng.choice(new)
            if len(words) < 2:
                break
        if words[0] == "run" and "--dry-run" not in words:
            words.append("--dry-run")
        used_or_refused(root, *(word.replace("\0", "") for word in words))
    record_property("campaign", f"{TIMES} inputs mutated")


def test_study_files(root, record_property):
    for rng in rngs("study files"):
        content = mutated_bytes(STUDY.encode(), rng) if rng.random() < 0.5 else mutated_text(STUDY, rng).encode()
        (root / "study.yaml").write_bytes(content)
        used_or_refused(root, "run", "study.yaml", "--dry-run")
    record_property("campaign", f"{TIMES} inputs mutated")


def test_tables_of_factors(root, tmp_path, record_property):
    for time, rng in enumerate(rngs("tables")):
        files = squares()
        files["factors.csv"] = mutated_bytes(files["factors.csv"], rng)
        folder = tmp_path / str(time)
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        used_or_refused(root, "datasets", "prepare", f"folder-t{time}", "--source", str(folder))
    record_property("campaign", f"{TIMES} inputs mutated")


def test_arrays(root, record_property):
    for rng in rngs("arrays"):
        content = arrays()
        codes, factors = content["codes"], content["factors"]
        changes = [
            {"codes": codes[: rng.randrange(64)]},
            {"codes": codes[:, 0]},
            {"codes": codes[:, :0]},
            {"codes": np.where(codes > 3, np.nan, codes)},
            {"codes": codes * 1e300},
            {"codes": codes.astype(object)},
            {"codes": codes.astype(str)},
            {"codes": codes.astype(complex)},
            {"codes": codes > 1},
            {"codes": np.zeros_like(codes)},
            {"factors": factors + 0.5},
            {"factors": factors - 2},
            {"factors": factors * 10**12},
            {"factors": factors[:, :1]},
            {"factors": np.zeros_like(factors)},
            {"factors": factors[::-1].T},
            {"labels": factors},
        ]
        np.savez(file := io.BytesIO(), **(content | rng.choice(changes)))
        data = file.getvalue() if rng.random() < 0.6 else mutated_bytes(file.getvalue(), rng)
        (root / "mutated.npz").write_bytes(data)
        used_or_refused(root, "score", "--codes", "mutated.npz", "--metric", "mig", "--metric", "sap")
    record_property("campaign", f"{TIMES} inputs mutated")


def test_archives(root, tmp_path, record_property):
    for time, rng in enumerate(rngs("archives")):
        files = squares()
        if rng.random() < 0.5:
            name = rng.choice(["../up.png", "/abs.png", "a" * 300 + ".png", "CON.png", "x.png/y.png", "\u202egnp.png"])
            files[name] = files["0-0.png"]
        elif rng.random() < 0.5:
            name = rng.choice(sorted(files))
            files[name] = mutated_bytes(files[name], rng)
        suffix = rng.choice([".zip", ".tar", ".tar.gz"])
        path = tmp_path / f"{time}{suffix}"
        if suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as archive:
                for name, content in files.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        if rng.random() < 0.5:
            path.write_bytes(mutated_bytes(path.read_bytes(), rng))
        before = sorted(tmp_path.parent.iterdir())
        used_or_refused(root, "datasets", "prepare", f"folder-a{time}", "--source", str(path))
        assert sorted(tmp_path.parent.iterdir()) == before, "nothing was written outside"
    record_property("campaign", f"{TIMES} inputs mutated")
