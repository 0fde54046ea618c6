"""Numeric gradients, and what a wrong one means. The command is python -m tinyalex.gradcheck.

    check_layer(layer, x)               a layer of this package, or of yours
    check(MyConv2D, like="Conv2D")      your class against a shipped one, explained
    check_loss, check_exchange, check_network, check_update
    speed(MyConv2D, like="Conv2D")      how fast it is, printed

Each check returns a Report: `report.ok`, `print(report)`. To read, in this order:

    numeric.py      the idea: a numeric slope, the step, the kinks where there is none
    comparison.py   one array: what backward says, against its slopes
    subjects.py     layers, losses, exchanges and networks, in the form that can be moved
    checks.py       the checks themselves; manners.py: what a right gradient does not show
    update.py       the optimiser against the update of the paper
    frozen.py       the same, and backward, where some of the layers are frozen
    cases.py        on what shapes and inputs each layer is tried, and why on those

and what follows from a gradient that is wrong:

    mistakes/       the mistakes that people make, each once: name, hint, formulas
    diagnosis.py    which of them gives just these numbers
    mutants.py      all of them planted in the shipped layers, to be caught
    exercise.py     a learner's own class, tried and explained; functions.py: a learner's function;
                    watch.py: with an eye on the clock, and on what is printed
    beyond.py       what exercises ask for that the package does not have
    timing.py       a learner's layer and the shipped one, against the clock
    marking/        what a class has handed in, marked
"""

from tinyalex.gradcheck.checks import (
    check_exchange,
    check_layer,
    check_loss,
    check_network,
    check_subject,
)
from tinyalex.gradcheck.exercise import check
from tinyalex.gradcheck.report import Finding, Report
from tinyalex.gradcheck.timing import speed
from tinyalex.gradcheck.update import check_update

__all__ = ["Finding", "Report", "check", "check_exchange", "check_layer", "check_loss",
           "check_network", "check_subject", "check_update", "speed"]
