"""Damages valid files at random and lets the command read them:

    python tests/convert/mutations.py 10000 [SEED]

Each has to end well, or in two lines and status 2; with no traceback, within seconds, and within
1 GB more memory than there was at the start (where the system can limit it). What fails is kept.

Most changes hit the bytes that hold the structure of a file, not its numbers: those that are the
same in files with other numbers.
"""

import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from dataclasses import asdict
from pathlib import Path

import caffe_writer
import numpy as np
from caffe_writer import QUICK, blob, model, weights
from tqdm import tqdm

from tinyalex.architectures import others
from tinyalex.convert import published, safetensors, statedict
from tinyalex.convert.__main__ import main
from tinyalex.run import checkpoint
from tinyalex.support.cli import run
from tinyalex.support.errors import UserError

SLOW = 5  # seconds, on a busy machine
NUMBERS = [0, 1, 127, 128, 255, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]


def command(*argv: Path | str) -> bool:
    """Run the command; what it says when it fails has to be two lines. Whether it did not fail."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = run(lambda: main([*map(str, argv)]))
    lines = said.getvalue().splitlines()
    fine = (status == 0 and not lines) or (
        status == 2 and len(lines) == 2 and lines[0].startswith("error: ")
        and lines[1].startswith("HINT: "))
    if not fine:
        raise AssertionError(f"status {status}, {lines}")
    return status == 0


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"features.0.weight": rng.standard_normal((4, 3, 2, 2), np.float32),
            "features.0.bias": rng.standard_normal(4, np.float32),
            "classifier.6.bias": rng.standard_normal(10, np.float32)}


def a_caffemodel(path, seed, layer=caffe_writer.layer_2015):
    path.write_bytes(model("quick", weights(QUICK, seed), layer))


def an_old_caffemodel(path, seed):
    a_caffemodel(path, seed, caffe_writer.layer_2013)


def a_mean(path, seed):
    path.write_bytes(blob(np.random.default_rng(seed).random((1, 3, 32, 32)), old=True))


def a_safetensors(path, seed):
    safetensors.save(path, arrays(seed), {"preset": "paper"})


def an_npz(path, seed):
    np.savez(path, **arrays(seed))


def a_pth(path, seed):
    import torch
    torch.save({k: torch.from_numpy(v) for k, v in arrays(seed).items()}, path)


def an_old_pth(path, seed):
    import torch
    torch.save({k: torch.from_numpy(v) for k, v in arrays(seed).items()}, path,
               _use_new_zipfile_serialization=False)


def a_checkpoint(path, seed):
    network = others.cifar10_quick(seed=seed)
    about = {"preset": "cifar10-quick", "classes": [*map(str, range(10))],
             "settings": asdict(published._recipe("cifar10-quick"))}
    checkpoint.Checkpoint(about, np.zeros((32, 32, 3), np.float32), network.state()).save(path)


def read_state(path, folder):
    """The command refuses these arrays by their shapes, unread; so they are read here as well."""
    command(path, folder / "out.npz")
    try:
        with np.errstate(all="ignore"):
            for name, stored in statedict.load(path).items():
                published.read_array(path, name, stored, stored.shape)
        return True
    except UserError:
        return False


def read_model(path, folder):
    return command(path, folder / "out.npz")


def read_mean(path, folder):
    return command(folder / "good.caffemodel", folder / "out.npz", "--mean", path)


def read_checkpoint(path, folder):
    return command(path, folder / "out.safetensors")


KINDS = {  # how to write a valid file, its name, how to read it
    "caffemodel": (a_caffemodel, "a.caffemodel", read_model),
    "old caffemodel": (an_old_caffemodel, "a.caffemodel", read_model),
    "binaryproto": (a_mean, "a.binaryproto", read_mean),
    "safetensors": (a_safetensors, "a.safetensors", read_state),
    "npz": (an_npz, "a.npz", read_state),
    "checkpoint": (a_checkpoint, "a.npz", read_checkpoint),
    "pth": (a_pth, "a.pth", read_state),
    "old pth": (an_old_pth, "a.pth", read_state),
}


def structure(files: list[bytes]) -> np.ndarray:
    """The places of bytes that are alike in files with different numbers."""
    size = min(map(len, files))
    rows = np.stack([np.frombuffer(content[:size], np.uint8) for content in files])
    return np.flatnonzero((rows == rows[0]).all(axis=0))


def mutated(content: bytes, places: np.ndarray, rng: np.random.Generator) -> bytes:
    """One to four changes at random."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.choice(places) if rng.random() < 0.85 else rng.integers(len(content)))
        size = int(rng.choice([1, 2, 4, 8, 100]))
        match rng.integers(8):
            case 0:
                del data[at:]
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at // 2 : at // 2 + size]
            case 3:
                data[at : at + size] = rng.bytes(size)
            case 4:
                number = int(rng.choice(NUMBERS[:8]))
                data[at : at + 8] = number.to_bytes(8, "little")
            case 5:
                data[at : at + 10] = caffe_writer.varint(NUMBERS[rng.integers(len(NUMBERS))])
            case 6:
                data[at:at] = rng.bytes(size)
            case _:
                if at < len(data):
                    data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def mutated_inside(content: bytes, rng: np.random.Generator) -> bytes:
    """The same to a member of a zip file, whose checksum then is right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            member = old.read(name)
            if name == chosen and name.endswith("about.npy"):
                member = _other_about(member, rng)
            elif name == chosen:
                member = mutated(member, np.arange(min(len(member), 160)), rng)
            new.writestr(name, member)
    return out.getvalue()


def _other_about(member: bytes, rng: np.random.Generator) -> bytes:
    """The JSON of a checkpoint with another value in it, or with other letters."""
    about = json.loads(str(np.load(io.BytesIO(member))))
    settings = about["settings"]
    values = [None, -1, 0, 1e9, "", "x", [], {}, True, 2**70]
    inside = settings if rng.random() < 0.7 else about
    inside[str(rng.choice([*inside]))] = values[rng.integers(len(values))]
    text = json.dumps(about)
    if rng.random() < 0.3:
        text = mutated(text.encode(), np.arange(len(text)), rng).decode("latin1").replace("\0", "")
    out = io.BytesIO()
    np.save(out, np.array(text))
    return out.getvalue()


def limit_memory():
    """1 GB more than now."""
    try:
        import resource
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    size = pages * resource.getpagesize() + 2**30
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def hurt(kind: str, count: int, folder: Path, seed: int = 0) -> list[str]:
    """Damage `count` files of a kind; returns what went wrong."""
    write, name, read = KINDS[kind]
    valid = []
    for i in range(3):
        write(folder / name, i)
        valid.append((folder / name).read_bytes())
    assert read(folder / name, folder), "the file was not valid to begin with"
    places, wrong, slowest, taken_for_good = structure(valid), [], 0.0, 0
    rng = np.random.default_rng(seed)
    for number in tqdm(range(count), kind, disable=None, leave=False):
        inside = name.endswith(".npz") and rng.random() < 0.5
        content = (mutated_inside(valid[0], rng) if inside
                   else mutated(valid[0], places, rng))
        (folder / name).write_bytes(content)
        start = time.perf_counter()
        try:
            taken_for_good += read(folder / name, folder)
        except (Exception, SystemExit):
            wrong.append(f"{kind} {number}: {traceback.format_exc()}")
            kept = Path(tempfile.gettempdir()) / f"mutation-{number}-{name}"
            kept.write_bytes(content)
        taken = time.perf_counter() - start
        slowest = max(slowest, taken)
        if taken > SLOW:
            wrong.append(f"{kind} {number}: took {taken:.1f} s")
    print(f"{kind:<15} {count:>7,} damaged, {taken_for_good:,} still read, "
          f"{len(wrong)} went wrong, the slowest took {slowest:.2f} s", flush=True)
    return wrong


def all_kinds(count: int, seed: int = 0) -> list[str]:
    """So many damaged files, shared by the kinds."""
    kinds = dict(KINDS)
    try:
        import torch  # noqa: F401
    except ImportError:
        kinds = {kind: how for kind, how in kinds.items() if "pth" not in kind}
        print("no PyTorch: its .pth files are left out")
    limit_memory()
    folder = Path(tempfile.mkdtemp())
    try:
        a_caffemodel(folder / "good.caffemodel", 0)
        each = -(-count // len(kinds))
        return [failure for kind in kinds for failure in hurt(kind, each, folder, seed)]
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    failures = all_kinds(*map(int, sys.argv[1:] or ["10000"]))
    print("\n".join(failures[:20]))
    sys.exit(bool(failures))
