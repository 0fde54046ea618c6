"""The paper's claims, measured again: python -m tinyalex.reproduce.

    experiments.py   the runs there are, and what is compared for which claim
    running.py       one run after the other, each in its folder, until it has a result
    measures.py      what is measured of a trained network besides its log
    signals.py       of its layers: activities, units that never fire, gradients
    results.py       a run's result as a small CSV, and numbers taken from it
    statistics.py    differences paired by seed, their intervals, verdicts
    report.py        the page, from the results alone; pictures.py: its pictures
"""
