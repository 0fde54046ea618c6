"""mpiexec -n 2 python -m mpi4py -m tinyalex.bench.workers: a training step that workers share,
beside the model of it; see --help.

All ways to add up take turns on one network, round by round. A step begins when all workers have
come to it, and ends when the slowest has its new weights.
"""

import sys
from argparse import Namespace
from dataclasses import astuple
from pathlib import Path
from time import perf_counter

from tinyalex.bench import picture
from tinyalex.bench.spans import Span, watch_step
from tinyalex.bench.timing import Spread
from tinyalex.bench.workload import Workload
from tinyalex.devices import Batch, Devices
from tinyalex.hybrid import Hybrid
from tinyalex.inside import scaling
from tinyalex.parallel import BLOCKS, Parallel
from tinyalex.run import presets
from tinyalex.sums import BUCKET
from tinyalex.support.cli import ArgumentParser, number, output, run
from tinyalex.support.errors import UserError
from tinyalex.support.progress import progress
from tinyalex.support.text import align, plural
from tinyalex.world import World, find

NONE, DURING, AFTER, EXACT = (
    "each its own, no sums", "sums during backward", "sums after backward", "--exact")
HYBRID = ("hybrid, b", "hybrid, c")  # as the model calls them
ALL_BYTES = 1 << 62  # of a bucket that is not full before everything is in it


class Shared(Workload):
    """The batch of all workers, and the ways in which this one can make its part of a step.

    `way` is the one that `train` takes. More workers than blocks cannot add exactly.
    """

    def __init__(self, preset: str, devices: Devices, batch_size: int, world: World):
        super().__init__(preset, devices, batch_size)
        self.ways = {NONE: Parallel(self.network, World()),
                     DURING: Parallel(self.network, world, bucket=BUCKET),
                     AFTER: Parallel(self.network, world, bucket=ALL_BYTES)}
        if world.size <= BLOCKS:
            self.ways[EXACT] = Parallel(self.network, world, exact=True)
        for way in HYBRID:
            self.ways[way] = Hybrid(self.network, world, at_once=way == HYBRID[1])
        self.optimisers = {way: parallel.begin(self.optimiser)
                           for way, parallel in self.ways.items()}
        self.way = DURING

    def train(self) -> None:
        parallel = self.ways[self.way]
        rows = (self.ways[DURING] if self.way == NONE else parallel).rows(self.batch_size)
        count = rows.stop - rows.start if self.way == NONE else self.batch_size
        parallel.step(self.optimisers[self.way], Batch(self.x[rows]), self.labels[rows], 0, count)
        self.wait()

    def close(self) -> None:
        for parallel in self.ways.values():
            parallel.close()


def main(argv: list[str] | None = None) -> int:
    """The command behind `python -m tinyalex.bench.workers`; argv without the program's name."""
    with find().together() as world:
        world.take_cores()
        _main(_parse(argv), world)
    return 0


def _main(args: Namespace, world: World) -> None:
    if args.batch_size < world.size:
        raise UserError(f"--batch-size {args.batch_size}: less than a picture for each of "
                        f"{world.size} workers", "take a larger one.")
    link = scaling.measured(world)
    with Devices(args.devices, presets.get(args.preset).towers,
                 worker=(world.local_rank, world.local_size)) as devices:
        shared = Shared(args.preset, devices, args.batch_size, world)
        try:
            report(shared, world, link, args.rounds)
            if args.out:
                draw(shared, world, args.out)
        finally:
            shared.close()


def _parse(argv: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="mpiexec -n 2 python -m mpi4py -m tinyalex.bench.workers", shares=True,
        description="Measure a training step that workers share: data parallel, with gradients "
                    "summed during backward, after it, and exactly, and with fully connected "
                    "layers shared out; beside what the model of tinyalex.summary expects.")
    add = parser.add_argument
    add("--preset", default="paper", metavar="NAME", help=", ".join(presets.PRESETS))
    add("--batch-size", type=number(int, 1), default=128, help="of all workers together")
    add("--devices", metavar="LIST", default="auto", help="of each worker")
    add("--rounds", type=number(int, 1), default=5)
    add("--out", type=output(".png"), metavar="PNG", help="draw a step of each worker")
    return parser.parse_args(argv)


def report(shared: Shared, world: World, link: scaling.Link, rounds: int) -> None:
    """Print the settings, and for each way the seconds of a step and what the model expects."""
    places = world.share([world.host, *shared.places])
    for rank, place in enumerate(places):
        print(f"worker {rank} on {place[0]}: {', '.join(place[1:])}")
    print(f"joined by {link.latency * 1e6:.3g} µs, {link.bandwidth / 1e6:,.0f} MB/s\n"
          f"{shared.preset}, {plural(shared.batch_size, 'picture')} a step\n", flush=True)
    taken = measure(shared, world, rounds)
    expected = model(shared, world, link, taken[NONE].median)
    rows: list[tuple[str, ...]] = [("", "seconds a step", "lowest to highest", "images/s", "model")]
    for way, spread in taken.items():
        rows.append((way, f"{spread.median:.3f}", f"{spread.low:.3f} to {spread.high:.3f}",
                     f"{shared.batch_size / spread.median:,.1f}",
                     f"{expected[way]:.3f}" if way in expected else ""))
    print(align(rows, total=False), flush=True)


def measure(shared: Shared, world: World, rounds: int) -> dict[str, Spread]:
    """The seconds of a step in each way, of the slowest worker."""
    seconds: dict[str, list[float]] = {way: [] for way in shared.ways}
    for turn in progress(range(-1, rounds), "steps", unit="round"):
        for way in shared.ways:
            shared.way = way
            world.barrier()
            start = perf_counter()
            shared.train()
            slowest = max(world.share(perf_counter() - start))
            if turn >= 0:  # the first warms up
                seconds[way].append(slowest)
    return {way: Spread.of(values) for way, values in seconds.items()}


def model(shared: Shared, world: World, link: scaling.Link, alone: float) -> dict[str, float]:
    """What the ways should take by the model, where a worker without the others takes `alone`."""
    layers = scaling.parts(shared.network)
    picture_seconds = alone * world.size / shared.batch_size
    schemes = {DURING: "data parallel", **{way: way for way in HYBRID}}
    seconds = {way: scaling.step(scheme, layers, picture_seconds, link, world.size,
                                 shared.batch_size) for way, scheme in schemes.items()}
    return seconds | {AFTER: alone + link.sum(sum(part.bytes for part in layers), world.size)}


def draw(shared: Shared, world: World, path: Path) -> None:
    """A step of every worker, with sums during backward."""
    shared.way = DURING
    watch = watch_step(shared)
    watch.add_sums(world)
    world.barrier()
    mine = watch.step()
    watch.stop()
    told = world.share([[world.host, *shared.places], [astuple(span) for span in mine]])
    if world.rank:
        return
    lanes: list[str] = []
    step: list[Span] = []
    for (host, *places), spans_of_worker in told:
        step += [Span(len(lanes) + device, *rest) for device, *rest in spans_of_worker]
        lanes += [f"{host}\n{place}" for place in places]
    picture.save(picture.of_step(step, f"a training step of {shared.preset}, {shared.batch_size} "
                                 f"pictures, {world.size} workers", lanes), path)


if __name__ == "__main__":
    sys.exit(run(main))
