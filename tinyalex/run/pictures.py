"""The pictures of a run's folder, drawn while it goes on."""

import time

from tinyalex import drawing
from tinyalex.inside.colour import first_kernels
from tinyalex.network import Network
from tinyalex.run.folder import Run
from tinyalex.support.errors import reason
from tinyalex.support.text import warn

DRAW_EVERY = 30  # seconds, at least, between pictures of the curves


class Pictures:
    """The curves so far, and the first layer's kernels.

    Training must not end because of a picture: what goes wrong here is reported, once, and that is
    all. run: whose they are. network: that learns. classes: how many.
    """

    def __init__(self, run: Run, network: Network, classes: int):
        self.run, self.network, self.classes = run, network, classes
        self.warned, self.drawn = False, time.perf_counter()

    def draw(self, if_due: bool = False):
        """Draw them; if_due: only where the last ones are old enough."""
        if if_due and time.perf_counter() - self.drawn <= DRAW_EVERY:
            return
        title = self.run.folder.name
        try:
            if rows := self.run.rows():
                drawing.curves(rows, self.run.curves, title, classes=self.classes)
            drawing.filters(first_kernels(self.network), self.run.filters, title)
        except Exception as error:
            if not self.warned:
                warn(f"the run's pictures cannot be drawn: {reason(error)}")
            self.warned = True
        self.drawn = time.perf_counter()
