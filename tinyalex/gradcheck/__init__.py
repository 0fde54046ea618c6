"""Numeric gradients, and what a wrong one means.

    check_layer(layer, x)               a layer of this package, or of yours
    check(MyConv2D, like="Conv2D")      your class against a shipped one, explained
    check_loss, check_exchange, check_network, check_update

Each returns a Report: `report.ok`, `print(report)`. The command is python -m tinyalex.gradcheck.
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
from tinyalex.gradcheck.update import check_update

__all__ = ["Finding", "Report", "check", "check_exchange", "check_layer", "check_loss",
           "check_network", "check_subject", "check_update"]
