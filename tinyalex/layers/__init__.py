"""Every layer of the network, forward and backward, with the maths in its docstring.

    y = layer.forward(x, remember=False)   keeps what backward needs only when remember is true
    dx = layer.backward(dy)                fills layer.grads, frees what was kept, returns dx

Notation: N pictures, H×W pixels, C channels, F filters, KH×KW kernel, S stride, P pad, OH×OW
output; x input, y output, W weights, b biases; d… is the gradient of the loss with respect to ….
Layers compute in the dtype of what they are given: float32 to train, float64 to check gradients.
What they cannot read is a UserError that begins with the layer's name: integers, an empty batch,
shapes that do not fit, impossible sizes, a dy that is not like y.
Neither forward nor backward changes its argument, except in a ReLU built with inplace=True.
"""

from tinyalex.layers.activation import Activation, ReLU, Tanh
from tinyalex.layers.base import Layer
from tinyalex.layers.conv import Conv2D
from tinyalex.layers.dense import Dropout, Flatten, Linear
from tinyalex.layers.local import LocallyConnected2D
from tinyalex.layers.loss import SoftmaxCrossEntropy
from tinyalex.layers.norm import LocalResponseNorm, SpatialResponseNorm
from tinyalex.layers.pool import AveragePool2D, MaxPool2D
from tinyalex.layers.towers import OwnMaps

__all__ = [
    "Activation", "AveragePool2D", "Conv2D", "Dropout", "Flatten", "Layer", "Linear",
    "LocalResponseNorm", "LocallyConnected2D", "MaxPool2D", "OwnMaps", "ReLU",
    "SoftmaxCrossEntropy", "SpatialResponseNorm", "Tanh",
]
