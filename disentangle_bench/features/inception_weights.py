"""Where FID's Inception network comes from, and images through it: a user's file, the data root's, or a download."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from disentangle_bench.contracts import Progress, silent
from disentangle_bench.datasets.download import Remote, check, fetch
from disentangle_bench.datasets.regular import check_regular
from disentangle_bench.errors import UserError
from disentangle_bench.features.inception import WIDTH, Inception

VARIABLE = "DISENTANGLE_BENCH_INCEPTION"
REMOTE = Remote(
    "pt_inception-2015-12-05-6726825d.pth",
    (
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    95_628_359,
)
TORCHSCRIPT = "sha256:f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"  # inception-2015-12-05.pt
KNOWN = (REMOTE.checksum, TORCHSCRIPT)  # the files that hold the 2015-12-05 network
SIDE = 299  # pixels
BATCH = 50


def find(root: Path, progress: Progress = silent) -> Path:
    """The file of the network: the one that DISENTANGLE_BENCH_INCEPTION names, else the published one under `root`.

    The published one (91 MB) is downloaded where it is missing. A named file may be that or StyleGAN's TorchScript form
    of the same network, `inception-2015-12-05.pt`. Checksums are checked, as any other network's distances must not
    bear the names FID and KID. progress: in bytes. Raises `UserError`, which says where to put it, where it can't be
    had or is another file.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise UserError(f"{VARIABLE} names {path}, which is no file; put {REMOTE.file_name} there, or unset it.")
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if found not in KNOWN:
            raise UserError(
                f"{VARIABLE} names {path}, which is not the 2015-12-05 Inception network: expected one of "
                f"{', '.join(KNOWN)}, found {found}. Name {REMOTE.file_name} or inception-2015-12-05.pt, or unset it."
            )
        return path
    path = root / REMOTE.file_name
    otherwise = f"name another place in {VARIABLE}"
    try:
        if not path.exists():
            return fetch(REMOTE, root, progress, otherwise)
        check(path, REMOTE, f"Delete it and fetch it again, or {otherwise}.")
    except UserError as error:
        raise UserError(f"FID and KID need the Inception network: {error}") from error
    return path


class InceptionFeatures:
    """Images to pool_3 features, 2,048 each, on a device; `identity` is the sha256 of the file.

    path: a state file of the published port; or a TorchScript module, which is given RGB images, float32
        (B, 3, 299, 299), 0..255, and returns features (B, 2048), with `return_features=True` where it takes that.
    Raises `UserError` for a file that is neither, or whose parameters are another network's.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.path, self.device = path, torch.device(device)
        check_regular(path)
        try:
            with path.open("rb") as file:
                self.identity = hashlib.file_digest(file, "sha256").hexdigest()
            self.script = _is_script(path)
            if self.script:
                network: Any = torch.jit.load(path, "cpu")
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror}.") from error
        except Exception as error:  # whichever: it depends on the bytes; torch's words would advise to trust them
            raise _unusable(
                path, f"it is neither a state file nor a TorchScript module ({type(error).__name__})"
            ) from error
        if not self.script:
            network = _with_state(state, path)
        self.network = network.to(self.device).eval()
        asks = self.script and "return_features" in {argument.name for argument in network.forward.schema.arguments}
        self.options = {"return_features": True} if asks else {}

    @torch.inference_mode()
    def features(self, images: np.ndarray, progress: Progress = silent) -> np.ndarray:
        """Features, float32 (N, 2048), of images, uint8 (N, C, H, W) of 1 or 3 channels.

        Grey is repeated to RGB; resized bilinearly to 299 without aligned corners, as the port does; for the port
        scaled to [-1, 1].
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8:
            raise UserError(f"images must be uint8 (N, 1 or 3, H, W), not {images.dtype} {images.shape}.")
        result = np.empty((len(images), WIDTH), dtype=np.float32)
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(images[start : start + BATCH]).to(self.device).float()
            batch = batch.expand(-1, 3, -1, -1)
            batch = F.interpolate(batch, (SIDE, SIDE), mode="bilinear", align_corners=False)
            features = self.network(batch if self.script else batch / 127.5 - 1, **self.options)
            if features.shape != (len(batch), WIDTH):
                raise _unusable(self.path, f"it gives {tuple(features.shape)} for {len(batch)} images")
            result[start : start + len(batch)] = features.float().cpu().numpy()
            progress(start + len(batch), len(images))
        return result


def _is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive, which holds code."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).parts[1:2] == ("code",) for name in archive.namelist())


def _with_state(state: Any, path: Path) -> Inception:
    """The network with a state file's parameters; `UserError` unless their names and shapes are its own."""
    network = Inception()
    expected = network.state_dict()
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise _unusable(path, "it holds no parameters by name")
    counters = {name for name in expected if name.endswith("num_batches_tracked")}  # files from before torch 0.4.1 lack
    missing, more = sorted(expected.keys() - counters - state.keys()), sorted(state.keys() - expected.keys())
    if missing or more:
        named = f"it lacks '{missing[0]}'" if missing else f"it has '{more[0]}'"
        raise _unusable(path, f"{named}, and {len(missing)} parameters are missing and {len(more)} are unknown")
    for name, value in state.items():
        if value.shape != expected[name].shape:
            shapes = f"{tuple(value.shape)}, not {tuple(expected[name].shape)}"
            raise _unusable(path, f"'{name}' has the shape {shapes}")
    network.load_state_dict(expected | state)
    return network


def _unusable(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} is not FID's Inception network: {what}. Put {REMOTE.file_name} from {REMOTE.urls[0]} in its place, or "
        f"name another file in {VARIABLE}."
    )
