"""What can happen to a file: bits that flip, ends that are lost, numbers that somebody edits.

Each function takes the bytes of a valid file, and gives those of a damaged one.
"""

import io
import json
import re
import zipfile

import numpy as np

NUMBERS = [0, 1, 127, 128, 255, 2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]
WORDS = [b"0", b"-1", b"nan", b"inf", b"1e999", b"1e300", b"9" * 20, b"9" * 5000, b"null", b"[]",
         b'""', b"{}", b"x", b"\0", b"\xff\xfe", b"\n", b",", b"[" * 100_000]
VALUES = [None, -1, 0, 1, 1e9, 1e300, float("nan"), 2**70, 10**400, True, "", "x", "a\nb", "\udcff",
          [], ["x"], {}, {"x": 1}]


def structure(files: list[bytes]) -> np.ndarray:
    """The places of bytes that are alike in files with different numbers."""
    size = min(map(len, files))
    rows = np.stack([np.frombuffer(content[:size], np.uint8) for content in files])
    return np.flatnonzero((rows == rows[0]).all(axis=0))


def varint(number: int) -> bytes:
    """A number as protocol buffers have it."""
    groups = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def in_bytes(content: bytes, places: np.ndarray, rng: np.random.Generator) -> bytes:
    """One to four changes, most of them at these places."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.choice(places) if rng.random() < 0.85 else rng.integers(len(content) + 1))
        size = int(rng.choice([1, 2, 4, 8, 100]))
        match rng.integers(9):
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
                data[at : at + 10] = varint(NUMBERS[rng.integers(len(NUMBERS))])
            case 6:
                data[at:at] = rng.bytes(size)
            case 7:
                other = int(rng.integers(len(content)))
                data[at : at + size] = content[other : other + size]
            case _:
                if at < len(data):
                    data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def in_text(content: bytes, rng: np.random.Generator) -> bytes:
    """A number or a word in place of one, or a line lost, moved, or there twice."""
    lines = content.splitlines(keepends=True)
    at, other = (int(rng.integers(len(lines))) for _ in range(2))
    match rng.integers(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            words = [*re.finditer(rb"[\w.+-]+|[^\w\s]", lines[at])]
            if words:
                start, end = words[rng.integers(len(words))].span()
                word = WORDS[rng.integers(len(WORDS))]
                lines[at] = lines[at][:start] + word + lines[at][end:]
    return b"".join(lines)


def in_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Another value, somewhere; or a key lost."""
    found = json.loads(content)
    inside = found
    while True:
        keys = [*inside] if isinstance(inside, dict) else [*range(len(inside))]
        key = keys[rng.integers(len(keys))]
        if not isinstance(inside[key], dict | list) or not inside[key] or rng.random() < 0.2:
            break
        inside = inside[key]
    if rng.random() < 0.15:
        del inside[key]
    else:
        inside[key] = VALUES[rng.integers(len(VALUES))]
    try:
        return json.dumps(found).encode()
    except ValueError:  # Python writes no number of 400 digits everywhere
        return b"9" * 5000


def in_zip(content: bytes, rng: np.random.Generator) -> bytes:
    """The same to a member of a zip file, whose checksum then is right; or all of it packed."""
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if rng.random() < 0.2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", kind) as new:
        names = old.namelist()
        small = [name for name in names if not name.startswith(("value/", "velocity/"))]
        chosen = rng.choice(small if small and rng.random() < 0.7 else names)
        for name in names:
            member = old.read(name)
            if name == chosen:
                if rng.random() < 0.1:
                    continue
                member = _in_array(member, rng)
            new.writestr(name, member)
    return out.getvalue()


def _in_array(member: bytes, rng: np.random.Generator) -> bytes:
    """Another header or other bytes; or a sound array of other numbers, texts, type or shape."""
    if not member.startswith(b"\x93NUMPY") or rng.random() < 0.4:
        return in_bytes(member, np.arange(min(len(member), 160)), rng)
    array = np.load(io.BytesIO(member))
    with np.errstate(all="ignore"):
        match rng.integers(6):
            case 0:
                array = array[None]
            case 1:
                array = array[:-1] if array.ndim else array.reshape(1)
            case 2 if array.dtype.kind in "fiu":
                array = array.astype(rng.choice(["f8", "f2", "i8", "u1", "U4"]))
            case 3 if array.dtype.kind in "fiu" and array.size:
                array = array.copy()
                array.flat[rng.integers(array.size)] = rng.choice([-1, 0, 100, 120])
            case 4 if array.dtype.kind == "f" and array.size:
                array = array.copy()
                array.flat[rng.integers(array.size)] = rng.choice([np.nan, np.inf, 1e30, -1e30])
            case _ if array.dtype.kind == "U" and array.ndim == 0 and str(array)[:1] == "{":
                array = np.array(in_json(str(array).encode(), rng).decode())
            case _:
                array = np.array("x\n")
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()
