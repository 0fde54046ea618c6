"""A network as an ONNX graph: every layer of every tower a node or a few.

Pictures come in as others have them: (N, 3, H, W), RGB, 0 to 255, and the mean is subtracted in the
graph. What flattens maps turns them back to (H, W, C) first, so that weights stay as they are here.
"""

import json
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex import layers
from tinyalex.convert.layout import centre
from tinyalex.layers import Layer
from tinyalex.layers.pool import Pool2D
from tinyalex.network import Network
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

OPSET, IR_VERSION = 17, 8  # of 2022: what reads ONNX today reads these


def save(path: Path, network: Network, scale: float, mean: np.ndarray, classes: list[str],
         softmax: bool = False, uint8: bool = False) -> None:
    """Write the network as an ONNX file, with a description of how to feed it.

    scale, mean (H, W, 3): how pictures are prepared here. softmax: give probabilities instead of
    scores. uint8: read bytes instead of floats. UserError where the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise UserError(f"{path}: needs the package onnx, which is not installed",
                        "pip install onnx, or write a .safetensors file.") from None
    helper, types, side = onnx.helper, onnx.TensorProto, network.input_shape[0]
    about = description(side, mean.shape, classes, softmax, uint8)
    told = "\n".join(f"{key}: {text}" for key, text in about.items() if key != "classes")
    graph = Graph(onnx, network)
    pixels = graph.add("Cast", "pictures", name="floats", to=types.FLOAT) if uint8 else "pictures"
    out = graph.towers(pixels, scale, centre(mean, side))
    if softmax:
        out = graph.add("Softmax", out, name="probabilities", axis=1)
    made = helper.make_graph(
        graph.nodes, "tinyalex",
        [helper.make_tensor_value_info("pictures", types.UINT8 if uint8 else types.FLOAT,
                                       ["N", 3, side, side], told)],
        [helper.make_tensor_value_info(out, types.FLOAT, ["N", network.classes], about["output"])],
        graph.constants, told)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], doc_string=told,
                              ir_version=IR_VERSION, producer_name="tinyalex")
    helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    with replacing(path, suffix=".onnx") as part:
        onnx.save(model, part)


def description(side: int, picture: tuple[int, ...], classes: list[str], softmax: bool,
                uint8: bool) -> dict[str, str]:
    """What to feed the network, and what it answers, for the file's metadata. picture: (H, W, 3)
    of those it was trained on."""
    return {
        "input": f"pictures, {'uint8' if uint8 else 'float32'} (N, 3, {side}, {side})",
        "size": str(side),
        "resize": f"the shorter side to {min(picture[:2])}",
        "crop": f"the centre, {side}×{side}",
        "colours": "RGB",
        "range": "0 to 255: the mean is subtracted in the graph",
        "output": "probabilities, float32 (N, classes): they sum to 1" if softmax else
                  "scores, float32 (N, classes): raw, before any softmax",
        "classes": json.dumps(classes),
    }


class Graph:
    """Collects nodes and constants; its functions take and return the names of arrays."""

    def __init__(self, onnx: Any, network: Network):
        self.onnx, self.network = onnx, network
        self.nodes, self.constants = list[Any](), list[Any]()

    def add(self, kind: str, *inputs: str, name: str, **attributes: Any) -> str:
        """A node; returns the name of its output, which is the node's."""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray | float | list[int]) -> str:
        """An array that the graph brings along: whole numbers from a list, else float32."""
        array = np.ascontiguousarray(value, np.int64 if isinstance(value, list) else np.float32)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def parameter(self, layer: Layer, key: str) -> str:
        """A layer's "W" or "b" as a constant, in the order of axes that ONNX has."""
        value = layer.device.get(layer.params[key])
        if value.ndim == 4:
            value = np.moveaxis(value, (-1, -2), (0, 1))
        return self.constant(f"{layer.name}.{key}", value)

    def towers(self, pixels: str, scale: float, mean: np.ndarray) -> str:
        """All towers, which read these pixels; returns the name of the scores."""
        network = self.network
        x = self.add("Sub", pixels, self.constant("mean", mean.transpose(2, 0, 1)),
                     name="minus_mean")
        if scale != 1:
            x = self.add("Mul", x, self.constant("scale", scale), name="scaled")
        xs = [x] * network.towers
        for number, stage in enumerate(network.stages):
            if number and network.towers > 1:
                axis = 1  # channels of maps, or units in a row
                xs = [self.add("Concat", *xs, name=f"joined{number}", axis=axis)] * network.towers
            for t, tower in enumerate(stage):
                for layer in tower:
                    xs[t] = export(layer, self, xs[t])
        if network.towers == 1:
            return self.add("Identity", xs[0], name="scores")
        return self.add("Concat", *xs, name="scores", axis=1)


@singledispatch
def export(layer: Layer, graph: Graph, x: str) -> str:
    """Add the nodes of a layer that reads x; returns the name of its output. Below is what each
    kind of layer adds."""
    raise UserError(f"{layer.name}: there is no ONNX node for a {type(layer).__name__} here",
                    "add one in tinyalex/convert/onnx_graph.py.")


@export.register
def _(layer: layers.ReLU, graph: Graph, x: str) -> str:
    return graph.add("Relu", x, name=layer.name)


@export.register
def _(layer: layers.Tanh, graph: Graph, x: str) -> str:
    return graph.add("Tanh", x, name=layer.name)


@export.register
def _(layer: layers.Dropout, graph: Graph, x: str) -> str:
    keep = graph.constant(f"{layer.name}.keep", layer.keep)
    return graph.add("Mul", x, keep, name=layer.name)


@export.register
def _(layer: layers.Conv2D, graph: Graph, x: str) -> str:
    W, b, (before, after) = graph.parameter(layer, "W"), graph.parameter(layer, "b"), layer.P
    return graph.add("Conv", x, W, b, name=layer.name, strides=[layer.S] * 2,
                     pads=[before] * 2 + [after] * 2)


@export.register
def _(layer: layers.Linear, graph: Graph, x: str) -> str:
    W, b = graph.parameter(layer, "W"), graph.parameter(layer, "b")
    return graph.add("Gemm", x, W, b, name=layer.name)


@export.register
def _(layer: layers.Flatten, graph: Graph, x: str) -> str:
    rows = graph.add("Transpose", x, name=f"{layer.name}.rows", perm=[0, 2, 3, 1])
    return graph.add("Flatten", rows, name=layer.name, axis=1)


@export.register
def _(layer: layers.MaxPool2D, graph: Graph, x: str) -> str:
    return graph.add("MaxPool", x, name=layer.name, **_windows(layer, graph))


@export.register
def _(layer: layers.AveragePool2D, graph: Graph, x: str) -> str:
    return graph.add("AveragePool", x, name=layer.name, count_include_pad=0,
                     **_windows(layer, graph))


def _windows(layer: Pool2D, graph: Graph) -> dict[str, list[int]]:
    """A pooling's windows, with what the last one hangs over the edge as padding: ceil_mode would
    count windows that begin beyond it, too."""
    ins, outs = graph.network.shapes[layer]
    beyond = [max((out - 1) * layer.S + k - size, 0)
              for size, out, k in zip(ins[:2], outs[:2], layer.K, strict=True)]
    return {"kernel_shape": list(layer.K), "strides": [layer.S] * 2, "pads": [0, 0, *beyond]}


@export.register
def _(layer: layers.LocalResponseNorm, graph: Graph, x: str) -> str:
    # ONNX divides alpha by the window.
    return graph.add("LRN", x, name=layer.name, size=layer.n, alpha=layer.alpha * layer.n,
                     beta=layer.beta, bias=float(layer.k))


@export.register
def _(layer: layers.SpatialResponseNorm, graph: Graph, x: str) -> str:
    """x / (k + alpha · the mean of x² over the window, with zeros beyond the edges)**beta"""
    name = layer.name
    alpha, k, beta = (graph.constant(f"{name}.{key}", getattr(layer, key))
                      for key in ("alpha", "k", "beta"))
    squares = graph.add("Mul", x, x, name=f"{name}.squares")
    means = graph.add("AveragePool", squares, name=f"{name}.means", count_include_pad=1,
                      kernel_shape=[layer.n] * 2, pads=[layer.n // 2] * 4)
    s = graph.add("Add", graph.add("Mul", means, alpha, name=f"{name}.scaled"), k, name=f"{name}.s")
    return graph.add("Div", x, graph.add("Pow", s, beta, name=f"{name}.power"), name=name)


@export.register
def _(layer: layers.OwnMaps, graph: Graph, x: str) -> str:
    C = graph.network.shapes[layer][0][-1] // layer.towers
    ends = [graph.constant(f"{layer.name}.{key}", [value]) for key, value in (
        ("first", layer.tower * C), ("last", (layer.tower + 1) * C), ("axis", 1))]
    return graph.add("Slice", x, *ends, name=layer.name)
