"""NVIDIA's compiler takes the CUDA kernels: where CuPy is installed, which does not need a GPU.

A C++ compiler lets things pass that CUDA's does not, such as `min` of two types. What stands around
the body is what CuPy puts there.
"""

import os

import cuda_as_cpp
import pytest

from tinyalex.kernels.cuda import KERNELS

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
KERNEL = """
#include <cupy/complex.cuh>
#include <cupy/carray.cuh>
typedef %(T)s T;
typedef %(index)s Index;
extern "C" __global__ void %(name)s(%(arguments)s, CIndexer<1, 1> _ind) {
  %(constants)s;
  CUPY_FOR(i, _ind.size()) { _ind.set(i); %(code)s; }
}
"""


def options() -> list[str]:
    from cuda.pathfinder import find_nvidia_header_directory

    toolkit = find_nvidia_header_directory("cudart")
    if toolkit is None:
        pytest.skip("the headers of the CUDA toolkit are not installed")
    ours = os.path.join(cupy.__path__[0], "_core", "include")
    folders = [os.path.join(ours, "cupy", "_cccl", one) for one in ("cub", "thrust", "libcudacxx")]
    return ["--std=c++17", "--gpu-architecture=sm_80",
            *(f"-I{folder}" for folder in (*folders, ours, toolkit))]


@pytest.mark.parametrize("name", KERNELS)
def test_nvidias_compiler_takes_the_kernel(name):
    from cupy.cuda import compiler

    kernel = KERNELS[name]
    reads, writes = (cuda_as_cpp.parameters(text) for text in (kernel.reads, kernel.writes))
    arguments = []
    for const, some in (("const ", reads), ("", writes)):
        for kind, called, raw in some:
            kind = cuda_as_cpp.C_TYPES.get(kind, kind)
            kind = f"CArray<{kind}, 1, true, true>" if raw else kind
            arguments.append(f"{const}{kind} {called}")
    flags = options()
    for T in ["float", "double"] + ["complex<double>"] * (name == "im2col"):
        for index in cuda_as_cpp.INDEX:
            constants = "".join(f"const Index {one} = 3; "
                                for one in cuda_as_cpp.constants(kernel.code))
            source = KERNEL % {"T": T, "index": index, "name": name, "constants": constants,
                               "arguments": ", ".join(arguments), "code": kernel.code}
            try:
                compiler._NVRTCProgram(source, f"{name}.cu").compile(flags)
            except compiler.CompileException as error:
                pytest.fail(f"{T}, {index}: {error}")
