"""Numeric gradients, and what a wrong one probably means."""

from tinyalex.gradcheck.checks import (
    check_exchange,
    check_layer,
    check_loss,
    check_network,
    check_subject,
)
from tinyalex.gradcheck.report import Finding, Report
from tinyalex.gradcheck.update import check_update

__all__ = ["Finding", "Report", "check_exchange", "check_layer", "check_loss", "check_network",
           "check_subject", "check_update"]
