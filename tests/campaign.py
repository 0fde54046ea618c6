"""Campaigns: tests that take hours, run where TINYALEX_CAMPAIGN in the environment is a number that
is not 0. Of damaged files and flags it says how many are tried."""

import os

ASKED = int(os.environ.get("TINYALEX_CAMPAIGN") or 0)
