"""The bodies of the CUDA kernels, compiled as C++ by the machine's own compiler.

What stands around a body on the GPU, a thread for each i, is a loop over i here. Nothing of the
body is changed: a wrong index, a wrong formula, an integer that overflows are the same on both.
(What cannot be seen here are bad accesses that happen to do no harm, and the GPU's own rounding.)
"""

import ctypes
import itertools
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tinyalex.kernels.cuda import KERNELS

COMPILER = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
TYPES = {"float": np.float32, "double": np.float64}
INDEX = ("int", "long long")
C_TYPES = {"uint8": "unsigned char", "int32": "int", "int64": "long long"}
HEAD = """
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
using std::max; using std::min; using std::pow; using std::sqrt;
template <typename T> T rsqrt(T x) { return T(1) / sqrt(x); }
"""


def parameters(text: str) -> list[tuple[str, str, bool]]:
    """ "raw T x, T alpha" -> [("T", "x", True), ("T", "alpha", False)]"""
    parts = (part.split() for part in text.split(","))
    return [(part[-2], part[-1], part[0] == "raw") for part in parts]


def constants(code: str) -> list[str]:
    """The names in capitals that a body uses, in alphabetical order."""
    return sorted(set(re.findall(r"\b[A-Z][A-Z0-9]*\b", code)) - {"T"})


def source() -> str:
    """All kernels, each for every combination of types, as functions of C."""
    parts = [HEAD]
    for name, kernel in KERNELS.items():
        arguments = ["ptrdiff_t count"]
        for kind, called, raw in parameters(kernel.reads) + parameters(kernel.writes):
            arguments.append(f"{C_TYPES.get(kind, kind)} {'*' * raw}{called}")
        arguments += [f"Index {constant}" for constant in constants(kernel.code)]
        parts.append(f"template <typename T, typename Index> void {name}({', '.join(arguments)})"
                     f"{{ for (ptrdiff_t i = 0; i < count; ++i) {{ {kernel.code} }} }}")
        types = ["float", "double"] + ["std::complex<double>"] * (name == "im2col")
        for (t, T), (j, index) in itertools.product(enumerate(types), enumerate(INDEX)):
            called = ", ".join(one.split()[-1].strip("*") for one in arguments)
            typed = ", ".join(re.sub(r"\bT\b", T, re.sub(r"\bIndex\b", index, one))
                              for one in arguments)
            parts.append(f'extern "C" void {name}_{t}_{j}({typed}) '
                         f"{{ {name}<{T}, {index}>({called}); }}")
    return "\n".join(parts)


@cache
def library() -> ctypes.CDLL:
    folder = Path(tempfile.mkdtemp(prefix="tinyalex-kernels-"))
    (folder / "kernels.cpp").write_text(source())
    subprocess.run([COMPILER, "-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o",
                    "kernels.so", "kernels.cpp"], cwd=folder, check=True)
    loaded = ctypes.CDLL(str(folder / "kernels.so"))
    shutil.rmtree(folder)
    return loaded


def launch(kernel, count: int, args: list):
    """Run a kernel (reads, writes, code, index, constants) over NumPy arrays and numbers."""
    name = next(name for name, one in KERNELS.items() if one.code == kernel.code)
    known = parameters(kernel.reads) + parameters(kernel.writes)
    (T,) = {a.dtype for a, (kind, _, raw) in zip(args, known, strict=True) if raw and kind == "T"}
    t = [np.float32, np.float64, np.complex128].index(T.type)
    function = getattr(library(), f"{name}_{t}_{INDEX.index(kernel.index)}")
    given, written, alive = [ctypes.c_ssize_t(count)], [], []
    for i, (value, (kind, _, raw)) in enumerate(zip(args, known, strict=True)):
        if raw:
            if kind != "T":
                assert value.dtype == kind, f"{name} wants {kind}, not {value.dtype}"
            whole = np.ascontiguousarray(value)
            alive.append(whole)  # or other threads get the memory of a copy before it is read
            if i >= len(parameters(kernel.reads)) and whole is not value:
                written.append((value, whole))
            given.append(ctypes.c_void_p(whole.ctypes.data))
        elif kind == "int64":
            given.append(ctypes.c_longlong(int(value)))
        else:
            given.append((ctypes.c_float if t == 0 else ctypes.c_double)(value))
    wanted = constants(kernel.code)
    assert sorted(kernel.constants) == wanted, f"{name} wants {wanted}, not {kernel.constants}"
    number = ctypes.c_int if kernel.index == "int" else ctypes.c_longlong
    given += [number(kernel.constants[one]) for one in wanted]
    function(*given)
    for value, whole in written:
        value[...] = whole
