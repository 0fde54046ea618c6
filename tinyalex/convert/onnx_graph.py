"""A network as an ONNX graph: every layer of every tower a node or a few.

Pictures come in as others have them: (N, 3, H, W), RGB, 0 to 255, and the mean is subtracted in the
graph. What flattens maps turns them back to (H, W, C) first, so that weights stay as they are here.
"""

import json
from pathlib import Path

import numpy as np

from tinyalex.layers import (
    AveragePool2D,
    Conv2D,
    Dropout,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool2D,
    OwnMaps,
    ReLU,
    SpatialResponseNorm,
    Tanh,
)
from tinyalex.network import Network
from tinyalex.support.errors import UserError
from tinyalex.support.files import replacing

OPSET, IR_VERSION = 17, 8  # of 2022: what reads ONNX today reads these


def save(path: Path, network: Network, scale: float, mean: np.ndarray, classes: list[str]):
    """Write the network as an ONNX file: input "pictures" (N, 3, H, W), output "scores" (N, K), and
    the names of the classes as metadata. scale, mean (H, W, 3): what pictures are prepared with
    here. UserError where the package onnx is not installed."""
    try:
        import onnx
    except ImportError:
        raise UserError(f"{path}: needs the package onnx, which is not installed",
                        "pip install onnx, or write a .safetensors file.") from None
    graph = Graph(onnx)
    scores = graph.network(network, scale, mean)
    side, kind = network.input_shape[0], onnx.TensorProto.FLOAT
    made = onnx.helper.make_graph(
        graph.nodes, "tinyalex",
        [onnx.helper.make_tensor_value_info("pictures", kind, ["N", 3, side, side])],
        [onnx.helper.make_tensor_value_info(scores, kind, ["N", network.classes])],
        graph.constants)
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)],
                                   ir_version=IR_VERSION, producer_name="tinyalex")
    onnx.helper.set_model_props(model, {"classes": json.dumps(classes)})
    onnx.checker.check_model(model)
    with replacing(path, suffix=".onnx") as part:
        onnx.save(model, part)


class Graph:
    """Collects nodes and constants; its functions take and return the names of arrays."""

    def __init__(self, onnx):
        self.onnx, self.nodes, self.constants = onnx, [], []

    def add(self, kind: str, *inputs: str, name: str, **attributes) -> str:
        """A node; returns the name of its output, which is the node's."""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, value) -> str:
        array = np.ascontiguousarray(value, np.int64 if isinstance(value, list) else np.float32)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def network(self, network: Network, scale: float, mean: np.ndarray) -> str:
        """All towers; returns the name of the scores."""
        x = self.add("Sub", "pictures", self.constant("mean", mean.transpose(2, 0, 1)),
                     name="minus_mean")
        if scale != 1:
            x = self.add("Mul", x, self.constant("scale", scale), name="scaled")
        xs = [x] * network.towers
        for number, stage in enumerate(network.stages):
            if number and network.towers > 1:
                axis = 1  # channels of maps, or units in a row
                xs = [self.add("Concat", *xs, name=f"joined{number}", axis=axis)] * network.towers
            for t, layers in enumerate(stage):
                for layer in layers:
                    xs[t] = self.layer(layer, xs[t], network.shapes[layer][0])
        if network.towers == 1:
            return self.add("Identity", xs[0], name="scores")
        return self.add("Concat", *xs, name="scores", axis=1)

    def layer(self, layer: Layer, x: str, shape: tuple[int, ...]) -> str:
        """The nodes of one layer, that reads x of this shape (H, W, C), or (inputs,)."""
        name = layer.name
        match layer:
            case ReLU():
                return self.add("Relu", x, name=name)
            case Tanh():
                return self.add("Tanh", x, name=name)
            case Dropout():
                return self.add("Mul", x, self.constant(f"{name}.keep", layer.keep), name=name)
            case Conv2D():
                W = np.moveaxis(layer.device.get(layer.params["W"]), (-1, -2), (0, 1))
                before, after = layer.P
                return self.add("Conv", x, self.constant(f"{name}.W", W), self._bias(layer),
                                name=name, strides=[layer.S] * 2, pads=[before] * 2 + [after] * 2)
            case Linear():
                W = self.constant(f"{name}.W", layer.device.get(layer.params["W"]))
                return self.add("Gemm", x, W, self._bias(layer), name=name)
            case Flatten():
                rows = self.add("Transpose", x, name=f"{name}.rows", perm=[0, 2, 3, 1])
                return self.add("Flatten", rows, name=name, axis=1)
            case MaxPool2D():
                return self.add("MaxPool", x, name=name, **_window(layer))
            case AveragePool2D():
                return self.add("AveragePool", x, name=name, **_window(layer), count_include_pad=0)
            case LocalResponseNorm():  # ONNX divides alpha by the window
                return self.add("LRN", x, name=name, size=layer.n, alpha=layer.alpha * layer.n,
                                beta=layer.beta, bias=float(layer.k))
            case SpatialResponseNorm():
                return self._spatial(layer, x)
            case OwnMaps():
                C = shape[-1] // layer.towers
                ends = [self.constant(f"{name}.{key}", [value]) for key, value in (
                    ("first", layer.tower * C), ("last", (layer.tower + 1) * C), ("axis", 1))]
                return self.add("Slice", x, *ends, name=name)
        raise UserError(f"{name}: there is no ONNX node for a {type(layer).__name__} here",
                        "add one in tinyalex/convert/onnx_graph.py.")

    def _bias(self, layer) -> str:
        return self.constant(f"{layer.name}.b", layer.device.get(layer.params["b"]))

    def _spatial(self, layer: SpatialResponseNorm, x: str) -> str:
        """x / (k + alpha · the mean of x² over the window, with zeros beyond the edges)**beta"""
        name, around = layer.name, [layer.size // 2] * 4
        squares = self.add("Mul", x, x, name=f"{name}.squares")
        means = self.add("AveragePool", squares, name=f"{name}.means", pads=around,
                         kernel_shape=[layer.size] * 2, count_include_pad=1)
        alpha, k, beta = (self.constant(f"{name}.{key}", getattr(layer, key))
                          for key in ("alpha", "k", "beta"))
        s = self.add("Mul", means, alpha, name=f"{name}.scaled")
        s = self.add("Add", s, k, name=f"{name}.s")
        return self.add("Div", x, self.add("Pow", s, beta, name=f"{name}.power"), name=name)


def _window(layer) -> dict:
    return {"kernel_shape": list(layer.K), "strides": [layer.S] * 2, "ceil_mode": int(layer.ceil)}
