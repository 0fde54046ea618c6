"""What no lesson has, and so no shipped layer either: the ends of the exercises.

The references have no backward and stand in one place only, so a slip in them would make every
right answer wrong. The solutions are written in other words; they have to pass, whatever is drawn,
and each mistake put into them has to be seen.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from handed_in import MyLinear, variant

from tinyalex import gradcheck
from tinyalex.gradcheck import check
from tinyalex.gradcheck.beyond import CASES
from tinyalex.gradcheck.marking.exercises import EXERCISES, held_back
from tinyalex.support.errors import UserError

SOLUTIONS = Path(__file__).parents[2] / "notebooks/solutions"
KINDS = [*dict.fromkeys(case.kind for case in CASES), "views_back"]
PARTS = {part.like: (exercise, part.name) for exercise, parts in EXERCISES.items()
         for part in parts if part.like in KINDS}


def solution(like, right="", wrong=""):
    """The solution's class or function, with something else in the place of what is right."""
    exercise, name = PARTS[like]
    cells = json.loads((SOLUTIONS / f"{exercise}.ipynb").read_text())["cells"]
    lines = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    code = "\n".join(line for line in lines.splitlines() if not line.startswith("gradcheck."))
    head, found, body = code.partition(f" {name}(" if f"def {name}(" in code else f"class {name}")
    assert right in body
    names = {}
    exec(head + found + body.replace(right, wrong) if right else code, names)
    return names[name]


@pytest.mark.parametrize("like", KINDS)
def test_the_solution_passes_whatever_is_drawn(like):
    for seed in range(5):
        report = check(solution(like), like, seed=seed,
                       more=held_back(like, np.random.default_rng(seed)))
        assert report.ok, report


@pytest.mark.parametrize(("like", "right", "wrong", "said"), [
    ("DilatedConv2D", "(self.K - 1) * self.D", "self.K * self.D", "wrong shape"),
    ("DilatedConv2D", "i * self.D:i * self.D + OH", "i:i + OH", "wrong output"),
    ("DilatedConv2D", "pixels += dy", "pixels[...] = dy", "numbers are wrong"),
    ("DilatedConv2D", "W[place].T", "W[-1 - place[0], -1 - place[1]].T", "numbers are wrong"),
    ("LearnedLeak", "dy * off", "dy * self.x", "worst at a["),
    ("LearnedLeak", "(dy * off).sum(axis=tuple(range(dy.ndim - 1)))", "(dy * off).sum()",
     "an array is expected"),
    ("LearnedLeak", "axis=tuple(range(dy.ndim - 1))", "axis=(0, 1, 2)", "AxisError"),
    ("LearnedLeak", 'self.params["a"] * dy', "0 * dy", "numbers are wrong"),
    ("NormPool2D", "**(1 / self.p)", "", "wrong output"),
    ("NormPool2D", "np.sign(window) * ", "", "numbers are wrong"),
    ("NormPool2D", "(self.p - 1)", "self.p", "numbers are wrong"),
    ("NormPool2D", "np.where(y > 0, y, 1)", "y", "NaN"),
    ("NormPool2D", "columns] +=", "columns] =", "numbers are wrong"),
    ("OneSidedNorm", "self.behind(direct", "self.before(direct", "numbers are wrong"),
    ("OneSidedNorm", "i + 1 - self.n)", "i - self.n)", "wrong output"),
    ("RingExchange", "(t + 1)", "(t - 1)", "wrong shape"),
    ("RingExchange", "after[t - 1]", "after[t]", "raises ValueError"),
    ("RingExchange", "own[t] + after[t - 1]", "own[t]", "numbers are wrong"),
    ("SmoothedCrossEntropy", "np.full(x.shape, self.smoothing / x.shape[1], x.dtype)",
     "np.zeros(x.shape)", "wrong output"),
    ("SmoothedCrossEntropy", "shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))",
     "np.log(np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True))", "not finite"),
    ("SmoothedCrossEntropy", " / len(self.t)", "", "all are 4 times what they should be"),
    ("MapDropout", "(N, 1, 1, C)", "x.shape", "some pixels stay and others go"),
    ("MapDropout", "(N, 1, 1, C)", "(1, 1, 1, C)", "HINT: pictures have the same mask"),
    ("MapDropout", "(N, 1, 1, C)", "(N, 1, 1, 1)", "units of a picture go together"),
    ("MapDropout", "on.astype(x.dtype) / self.keep", "on.astype(x.dtype)", "wrong output"),
    ("MapDropout", "return x.copy()", "return self.keep * x", "at test time"),
    ("MapDropout", "dy * self.mask", "dy * (self.mask > 0)", "numbers are wrong"),
    ("NesterovSGD", "+= new + self.momentum * (new - old)", "+= new", "HINT: the paper's momentum"),
    ("NesterovSGD", "(new - old)", "new", "it is"),
])
def test_what_is_wrong_is_seen(like, right, wrong, said):
    report = check(solution(like, right, wrong), like)
    assert not report.ok
    assert said in str(report), report


def test_a_race_is_printed_for_what_is_right_and_only_for_that(capsys):
    gradcheck.speed(MyLinear, like="Linear")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["MyLinear", "tinyalex's"]
    assert all("images/s (" in line for line in lines)
    gradcheck.speed(type("MyLinear", (), {}), like="Linear")
    assert "is not right yet" in capsys.readouterr().out
    narrow = variant(MyLinear, forward=lambda s, x: MyLinear.forward(s, x) if len(x) < 9 else 1 / 0)
    gradcheck.speed(narrow, like="Linear")
    assert "Mine: raises ZeroDivisionError" in capsys.readouterr().out
    with pytest.raises(UserError, match="no size"):
        gradcheck.speed(MyLinear, like="SGD")
