"""A network as an ONNX graph: every layer of every tower a node or a few.

Pictures come in as others have them: (N, 3, H, W), RGB, 0 to 255, and the mean is subtracted in the
graph. What flattens maps turns them back to (H, W, C) first, so that weights stay as they are here.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex import layers
from tinyalex.data.pictures import centre
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

    def parameters(self, layer: Layer) -> list[str]:
        """A layer's W and b as constants, in the order of axes that ONNX has."""
        W, b = (layer.device.get(layer.params[key]) for key in ("W", "b"))
        W = np.moveaxis(W, (-1, -2), (0, 1)) if W.ndim == 4 else W
        return [self.constant(f"{layer.name}.W", W), self.constant(f"{layer.name}.b", b)]

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
                    xs[t] = self.layer(layer, xs[t])
        if network.towers == 1:
            return self.add("Identity", xs[0], name="scores")
        return self.add("Concat", *xs, name="scores", axis=1)

    def layer(self, layer: Layer, x: str) -> str:
        """The nodes of a layer that reads x; returns the name of its output."""
        add, name = self.add, layer.name
        match layer:
            case layers.ReLU():
                return add("Relu", x, name=name)
            case layers.Tanh():
                return add("Tanh", x, name=name)
            case layers.Dropout(keep=keep):
                return add("Mul", x, self.constant(f"{name}.keep", keep), name=name)
            case layers.Conv2D(S=S, P=(before, after)):
                return add("Conv", x, *self.parameters(layer), name=name, strides=[S] * 2,
                           pads=[before] * 2 + [after] * 2)
            case layers.Linear():
                return add("Gemm", x, *self.parameters(layer), name=name)
            case layers.Flatten():
                rows = add("Transpose", x, name=f"{name}.rows", perm=[0, 2, 3, 1])
                return add("Flatten", rows, name=name, axis=1)
            case layers.MaxPool2D():
                return add("MaxPool", x, name=name, **self._windows(layer))
            case layers.AveragePool2D():
                return add("AveragePool", x, name=name, count_include_pad=0, **self._windows(layer))
            case layers.LocalResponseNorm(n=n, k=k, alpha=alpha, beta=beta):
                return add("LRN", x, name=name, size=n, alpha=alpha * n,  # which ONNX divides by n
                           beta=beta, bias=float(k))
            case layers.SpatialResponseNorm():
                return self._spatial_norm(layer, x)
            case layers.OwnMaps(tower=tower, towers=towers):
                C = self.network.shapes[layer][0][-1] // towers
                ends = {"first": tower * C, "last": (tower + 1) * C, "axis": 1}
                return add("Slice", x, *(self.constant(f"{name}.{key}", [value])
                                         for key, value in ends.items()), name=name)
        raise UserError(f"{name}: there is no ONNX node for a {type(layer).__name__} here",
                        "add one in tinyalex/convert/onnx_graph.py.")

    def _windows(self, layer: Pool2D) -> dict[str, list[int]]:
        """A pooling's windows, with what the last one hangs over the edge as padding: ceil_mode
        would count windows that begin beyond it, too."""
        ins, outs = self.network.shapes[layer]
        beyond = [max((out - 1) * layer.S + k - size, 0)
                  for size, out, k in zip(ins[:2], outs[:2], layer.K, strict=True)]
        return {"kernel_shape": list(layer.K), "strides": [layer.S] * 2, "pads": [0, 0, *beyond]}

    def _spatial_norm(self, layer: layers.SpatialResponseNorm, x: str) -> str:
        """x / (k + alpha · the mean of x² over the window, with zeros beyond the edges)**beta"""
        add, name = self.add, layer.name
        alpha, k, beta = (self.constant(f"{name}.{key}", getattr(layer, key))
                          for key in ("alpha", "k", "beta"))
        squares = add("Mul", x, x, name=f"{name}.squares")
        means = add("AveragePool", squares, name=f"{name}.means", count_include_pad=1,
                    kernel_shape=[layer.n] * 2, pads=[layer.n // 2] * 4)
        s = add("Add", add("Mul", means, alpha, name=f"{name}.scaled"), k, name=f"{name}.s")
        return add("Div", x, add("Pow", s, beta, name=f"{name}.power"), name=name)
