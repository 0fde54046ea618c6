"""How long a step takes with many workers: a model of three ways to share the work.

A message of S bytes takes α + S/β seconds, α being the latency of the network and β what it carries
in a second; of what a worker sends, and of what it receives, one byte goes after the other, but all
workers can do both at the same time. Forward and backward take a picture's share of time in each
layer, by its multiplications, backward twice as long as forward.

data parallel    every worker has the whole network and a P-th of the pictures; a bucket of
                 gradients is summed as soon as backward is done with its layers (sums.py)
hybrid, b and c  (A. Krizhevsky, One weird trick, 2014) convolutions as above; of the fully
                 connected layers each worker has a P-th of the units, for all pictures. So their
                 gradients stay where they are, and what crosses instead are the activities that
                 they read, the scores, and the gradients of these (hybrid.py). In b one worker
                 after the other sends its pictures to all others; in c all send a P-th of theirs, P
                 times, so that all links are busy. What comes next crosses while the layers
                 compute.

What the model leaves out: that workers are not equally fast, that CPUs which sum cannot compute
meanwhile, that links are shared; and that hybrid.py, unlike Krizhevsky, lets nothing cross while
the connected layers compute.
"""

from dataclasses import dataclass
from math import ceil, log2, prod

from tinyalex.freezing import layers_called, names
from tinyalex.layers import Linear
from tinyalex.network import Network
from tinyalex.sums import BUCKET
from tinyalex.support.errors import UserError
from tinyalex.support.text import align
from tinyalex.world import World, timed_sum

SCHEMES = ("data parallel", "hybrid, b", "hybrid, c")


@dataclass(frozen=True)
class Link:
    """latency: seconds. bandwidth: bytes in a second, in each direction."""

    latency: float
    bandwidth: float

    def sum(self, size: float, workers: int) -> float:
        """Seconds until all workers have the sum of arrays of `size` bytes, by whichever is
        faster: around a ring in P parts, twice, or up a tree and down again."""
        if workers == 1:
            return 0.0
        ring = 2 * (workers - 1) * (self.latency + size / workers / self.bandwidth)
        tree = 2 * ceil(log2(workers)) * (self.latency + size / self.bandwidth)
        return min(ring, tree)


# Typical figures: of Ethernet through TCP, of InfiniBand HDR, of NVLink between GPUs.
NETWORKS = {"1g": Link(60e-6, 0.117e9), "10g": Link(30e-6, 1.1e9), "100g": Link(15e-6, 11e9),
            "ib": Link(3e-6, 23e9), "nvlink": Link(3e-6, 200e9)}


@dataclass(frozen=True)
class Part:
    """Layers of one name, of all towers. share: of the network's multiplications. bytes: of its
    parameters. reads, gives: bytes of what it reads of a picture, and of what it makes of it."""

    name: str
    connected: bool
    share: float
    bytes: int
    reads: int
    gives: int


def parts(network: Network) -> list[Part]:
    """The layers with weights, in the order of forward."""
    named = {name: layers_called(network, name) for name in names(network)}
    work = {layer: layer.multiply_adds(shape) for layer, (shape, _) in network.shapes.items()}
    return [Part(name, isinstance(layers[0], Linear),
                 sum(work[layer] for layer in layers) / sum(work.values()),
                 4 * sum(prod(layer.W_shape) + prod(layer.b_shape) for layer in layers),
                 4 * prod(network.shapes[layers[0]][0]),
                 4 * sum(prod(network.shapes[layer][1]) for layer in layers))
            for name, layers in named.items()]


def crossing(layers: list[Part], workers: int, batch: int) -> dict[str, float]:
    """The bytes that all workers together send forward in a step of either hybrid scheme, and once
    more backward: for each fully connected layer what it reads, and the scores.

    What was computed in one place is needed in all: P - 1 copies cross. Only a score has one reader
    alone, who has the picture; of P scores, one is there already.
    """
    top = [part for part in layers if part.connected]
    return {part.name: batch * part.reads * (workers - 1) for part in top} | {
        "scores": batch * top[-1].gives * (workers - 1) / workers}


def step(scheme: str, layers: list[Part], seconds: float, link: Link, workers: int,
         batch: int) -> float:
    """Seconds of a step with a batch of so many pictures, those of all workers. layers: see
    `parts`. seconds: that one worker takes for one picture, forward and backward."""
    each = batch / workers * seconds  # what a worker computes, in all
    if scheme == "data parallel":
        return _sum_while_backward(layers, each / 3, each, link, workers)
    convolutions = [part for part in layers if not part.connected]
    forward = each / 3 * sum(part.share for part in convolutions)
    top = _connected(layers, each, link, workers, batch, at_once=scheme == "hybrid, c")
    return _sum_while_backward(convolutions, forward + top, each, link, workers)


def _sum_while_backward(layers: list[Part], now: float, each: float, link: Link,
                        workers: int) -> float:
    """When the last gradient is summed, if backward begins at `now` and a bucket is sent as soon as
    it is full and the one before has arrived."""
    arrived = waiting = 0.0
    for part in reversed(layers):
        now += 2 / 3 * each * part.share
        waiting += part.bytes
        if waiting >= BUCKET or part is layers[0]:
            arrived, waiting = max(arrived, now) + link.sum(waiting, workers), 0.0
    return max(now, arrived)


def _connected(layers: list[Part], each: float, link: Link, workers: int, batch: int,
               at_once: bool) -> float:
    """Seconds for the fully connected layers, forward and backward, in as many rounds as there are
    workers. at_once: all workers send a part of a round's pictures."""
    compute = each * sum(part.share for part in layers if part.connected) / workers
    if workers == 1:
        return compute
    ends = next(part.name for part in layers if part.connected), "scores"
    cross = 0.0
    for name, size in crossing(layers, workers, batch).items():
        # Between fully connected layers every worker has a P-th of the units for all pictures of
        # the round; below and above them, in b, it is one who has the pictures.
        busy = workers if at_once or name not in ends else 1
        cross += 2 * ((workers - 1) * link.latency + size / workers / busy / link.bandwidth)
    return cross + (workers - 1) * max(cross, compute) + compute


def table(layers: list[Part], seconds: float, link: Link, counts: list[int], batch: int) -> str:
    """For each number of workers and each scheme: the seconds of a step, how many times as fast
    that is as one worker, and the share of the workers' time that is used."""
    rows: list[tuple[str, ...]] = [("workers", *SCHEMES)]
    for workers in counts:
        taken = [step(scheme, layers, seconds, link, workers, batch) for scheme in SCHEMES]
        gains = [batch * seconds / each for each in taken]
        rows.append((str(workers), *(f"{each:.3g} s, × {gain:.2f}, {gain / workers:.0%}"
                                     for each, gain in zip(taken, gains, strict=True))))
    return align(rows, total=False)


def speed_ups(scheme: str, layers: list[Part], seconds: float, link: Link, counts: list[int],
              batch: int) -> list[float]:
    """For each number of workers how many times as fast a step is as with one."""
    return [batch * seconds / step(scheme, layers, seconds, link, workers, batch)
            for workers in counts]


def best(scheme: str, layers: list[Part], seconds: float, link: Link, counts: list[int],
         batch: int) -> int:
    """With how many workers a step is fastest: more do not pay."""
    return min(counts, key=lambda workers: step(scheme, layers, seconds, link, workers, batch))


SMALL, LARGE = 4, 1 << 25  # bytes of the sums that are measured


def measured(world: World) -> Link:
    """What joins the workers that MPI has started. UserError where this one is alone."""
    if world.size == 1:
        raise UserError("there is no other worker to measure with",
                        "start at least two: mpiexec -n 2 python -m mpi4py -m tinyalex.…")
    return fit(timed_sum(world, SMALL), timed_sum(world, LARGE), world.size)


def fit(small: float, large: float, workers: int) -> Link:
    """The link with which sums of SMALL bytes take so many seconds along a tree, and of LARGE ones
    around a ring.

    Only these two: what lies between often goes faster than such a line, since network cards and
    kernels store some hundred kilobytes, and it would pull the bandwidth of long sums with it.
    """
    small /= 2 * ceil(log2(workers))  # a message
    large /= 2 * (workers - 1)
    inverse = max((large - small) / (LARGE / workers - SMALL), 1e-15)
    return Link(max(small - SMALL * inverse, 0.0), 1 / inverse)
