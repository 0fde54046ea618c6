"""Stochastic gradient descent with momentum and weight decay, and what the learning rate does."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tinyalex.devices import Device
from tinyalex.network import Network, Parameter
from tinyalex.support.errors import UserError


class SGD:
    """The paper's update (section 5), for every weight and bias w with gradient g:

        v ← momentum·v − weight_decay·lr·w − lr·g
        w ← w + v

    g is the mean over the batch. lr multiplies the new gradient as it enters v, so after a drop in
    the learning rate the old velocity carries on at its old speed, and the gradients that would
    turn it round are ten times too weak: the network can lose in five steps what it learned in
    epochs (docs/momentum.md). scale_velocity=True lets `change_rates` multiply the velocities by
    the same factor as the rate (Goyal et al., 2017, "momentum correction"); False is the paper's
    formula.

    bias_lr: the rate of the biases, where it is not the weights': it stays, whatever happens to lr.
    bias_decay=False: weights decay, biases do not. (Both are what the authors ran, not the paper.)
    layer_lr: rates of single layers, by the beginning of their names, instead of lr; the longest
    that fits decides. A layer with rate 0 does not move, neither biases nor velocities.
    factors: what the rates of single layers are multiplied by, by the beginning of their names.

    share: what all rates are multiplied by in the next step: 1, or less in a slow start, and where
    they fall from step to step.
    velocity: one array for each parameter that learns, by name, on the parameter's device; 0 at the
    start. Frozen layers (freezing.py) have none.
    """

    def __init__(self, network: Network, lr: float = 0.01, momentum: float = 0.9,
                 weight_decay: float = 0.0005, bias_lr: float | None = None,
                 bias_decay: bool = True, scale_velocity: bool = False,
                 factors: dict[str, float] | None = None):
        self.network, self.lr, self.momentum = network, lr, momentum
        self.weight_decay, self.bias_lr, self.bias_decay = weight_decay, bias_lr, bias_decay
        self.layer_lr: dict[str, float] = {}
        self.scale_velocity, self.factors, self.share = scale_velocity, factors or {}, 1.0
        self.velocity = {}
        for p in network.learning:
            self.velocity[p.name] = p.layer.device.put(np.zeros(p.value.shape, p.value.dtype))

    def rate(self, p: Parameter) -> float:
        """The learning rate of this parameter."""
        lr = of_layer(p.name, self.layer_lr, self.lr)
        factor = of_layer(p.name, self.factors, 1.0)
        return factor * (self.bias_lr if lr and p.key == "b" and self.bias_lr is not None else lr)

    def change_rates(self, lr: float, layer_lr: dict[str, float]):
        """Continue with these learning rates."""
        before = {p.name: self.rate(p) for p in self.network.learning}
        self.lr, self.layer_lr = lr, layer_lr
        if not self.scale_velocity:
            return
        for p in self.network.learning:
            factor = self.rate(p) / before[p.name] if before[p.name] else 1.0
            if factor != 1:
                v = self.velocity[p.name]
                p.layer.device.run(v.__imul__, factor).result()

    def factor(self, p: Parameter) -> float:
        """What this parameter's rate is multiplied by in this step: 1, but with LARS
        (large_batches.py). Asked on the parameter's device, when its gradient is there."""
        return 1.0

    def decay(self, p: Parameter) -> float:
        """The weight decay of this parameter."""
        return self.weight_decay if self.bias_decay or p.key != "b" else 0.0

    def step(self):
        """Update all parameters, those of each device on that device, side by side."""
        by_device: dict[Device, list[Parameter]] = {}
        for p in self.network.learning:
            if self.rate(p):
                by_device.setdefault(p.layer.device, []).append(p)
        updates = [device.run(self._update, device, mine) for device, mine in by_device.items()]
        for update in updates:
            update.result()

    def _update(self, device, parameters):
        pieces = []
        for p in parameters:
            w, v, g = (a.reshape(-1) for a in (p.value, self.velocity[p.name], p.grad))
            lr, decay = self.rate(p) * self.share * self.factor(p), self.decay(p)
            size = device.chunk_bytes // (4 * w.itemsize)  # w, v, g and the step between them
            for piece in (slice(i, i + size) for i in range(0, w.size, size)):
                pieces.append((w[piece], v[piece], g[piece], lr, self.momentum, decay))

        def update(mine):
            for piece in pieces[mine]:
                device.kernels.sgd_update(*piece)

        device.over(len(pieces), update)

    def state(self) -> dict[str, np.ndarray]:
        """The velocities by parameter name, as arrays of the host."""
        return {p.name: p.layer.device.get(self.velocity[p.name]) for p in self.network.learning}

    def load_state(self, state: dict[str, np.ndarray]):
        """Take over what `state` returned. What has begun to learn since then keeps the velocity
        0."""
        for p in self.network.learning:
            if p.name in state:
                p.layer.device.put_into(self.velocity[p.name], state[p.name])


def of_layer(name: str, by_layer: dict[str, float], otherwise: float) -> float:
    """What is set for the layer, or parameter, of this name: by the longest matching beginning."""
    fitting = [layer for layer in by_layer if name.startswith(layer)]
    return by_layer[max(fitting, key=len)] if fitting else otherwise


class Plateau:
    """Divide the learning rate by 10 when the validation error stops improving (section 5).

    "Stops" means: `patience` epochs in a row without an error below the best so far. The paper did
    this three times by hand before the end; after `drops` times the rate stays.
    """

    layer_lr: ClassVar[dict[str, float]] = {}

    def __init__(self, lr: float, factor: float = 0.1, patience: int = 3, drops: int = 3):
        self.lr, self.factor, self.patience, self.drops = lr, factor, patience, drops
        self.best, self.waited, self.dropped = float("inf"), 0, 0

    def after_epoch(self, epoch: int, val_error: float) -> float:
        """The learning rate for what follows epoch number `epoch` (1 is the first)."""
        if val_error < self.best:
            self.best, self.waited = val_error, 0
        else:
            self.waited += 1
        if self.waited >= self.patience and self.dropped < self.drops:
            self.lr *= self.factor
            self.waited, self.dropped = 0, self.dropped + 1
        return self.lr

    def state(self) -> dict[str, float]:
        return {"lr": self.lr, "best": self.best, "waited": self.waited, "dropped": self.dropped}

    def load_state(self, state: dict[str, float]):
        self.lr, self.best = float(state["lr"]), float(state["best"])
        self.waited, self.dropped = int(state["waited"]), int(state["dropped"])


class Steps:
    """Multiply the learning rate by `factor` after each of the given epochs."""

    layer_lr: ClassVar[dict[str, float]] = {}

    def __init__(self, lr: float, epochs: Sequence[int], factor: float = 0.1):
        self.first_lr, self.epochs, self.factor = lr, tuple(epochs), factor
        self.lr = lr

    def after_epoch(self, epoch: int, val_error: float) -> float:
        """The learning rate for what follows epoch number `epoch` (1 is the first)."""
        self.lr = self.first_lr * self.factor ** sum(epoch >= e for e in self.epochs)
        return self.lr

    def state(self) -> dict[str, float]:
        return {"lr": self.lr}

    def load_state(self, state: dict[str, float]):
        self.lr = float(state["lr"])


class Timeline:
    """Set the learning rate to given values when given epochs begin: of all layers, or of some.

    changes: (epoch, layer, rate) each; the layer as the beginning of its name, "" for all that have
    no rate of their own. Those of epoch 1 hold from the first step.
    """

    def __init__(self, lr: float, changes: Sequence[tuple[int, str, float]]):
        self.first_lr, self.changes = lr, sorted(changes, key=lambda change: change[0])
        self.after_epoch(0, 1.0)

    def after_epoch(self, epoch: int, val_error: float) -> float:
        """The learning rate for what follows epoch number `epoch` (1 is the first)."""
        rates = {"": self.first_lr}
        rates |= {layer: lr for at, layer, lr in self.changes if at <= epoch + 1}
        self.lr, self.layer_lr = rates.pop(""), rates
        return self.lr

    def state(self) -> dict:
        return {"lr": self.lr, "layer_lr": self.layer_lr}

    def load_state(self, state: dict):
        self.lr, self.layer_lr = float(state["lr"]), dict(state["layer_lr"])


Schedule = Plateau | Steps | Timeline


def schedule(text: str, lr: float) -> Schedule:
    """A schedule from its text. UserError where it is none of these:

        constant
        linear                  constant here; whoever takes a step multiplies it by `falling`
        plateau, plateau:5      `Plateau`, and with this patience
        20,30                   divided by 10 after each of these epochs
        25:0.001,67:conv1=0     0.001 when epoch 25 begins, 0 for conv1 when epoch 67 begins
    """
    try:
        if text in ("constant", "linear"):
            return Steps(lr, ())
        if text == "plateau":
            return Plateau(lr)
        if text.startswith("plateau:"):
            return Plateau(lr, patience=_positive(text[len("plateau:"):]))
        if ":" in text:
            return Timeline(lr, _changes(text))
        return Steps(lr, [_positive(epoch) for epoch in text.split(",")])
    except ValueError:
        raise UserError(
            f"--schedule {text!r} is not a schedule",
            "use constant, linear, plateau, plateau:PATIENCE, epochs such as 20,30, or rates by "
            "epoch such as 25:0.001,67:conv1=0.") from None


def falling(step: int, steps: int) -> float:
    """What the learning rate is multiplied by in update number `step` (0 is the first) of `steps`,
    where it falls evenly: 1, …, 1/steps. Large rates learn fast and small ones settle; where there
    is no time to wait until one has done all that it can, each has its turn."""
    return 1 - step / steps


def _changes(text: str) -> list[tuple[int, str, float]]:
    changes: dict[tuple[int, str], float] = {}
    for part in text.split(","):
        epoch, _, setting = part.partition(":")
        layer, named, rate = (word.strip() for word in setting.rpartition("="))
        lr, key = float(rate), (_positive(epoch), layer)
        if not 0 <= lr < float("inf") or bool(named) != bool(layer) or key in changes:
            raise ValueError(part)
        changes[key] = lr
    return [(*key, lr) for key, lr in changes.items()]


def factors(text: str) -> dict[str, float]:
    """Factors of learning rates by layer, from a text such as conv=0.1,fc8=10. UserError where it
    is nothing of the kind."""
    by_layer: dict[str, float] = {}
    try:
        for part in text.split(",") if text else ():
            layer, _, factor = (word.strip() for word in part.partition("="))
            if not layer or layer in by_layer or not 0 <= float(factor) < float("inf"):
                raise ValueError
            by_layer[layer] = float(factor)
    except ValueError:
        raise UserError(f"--lr-of {text!r} does not name layers with factors",
                        "use the beginnings of names, such as conv=0.1,fc8=10.") from None
    return by_layer


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number
