"""Mark what a class has handed in: every part of every exercise, each file in a process of its own.

The checks run here, on what the file's code computes there; see remote.py.
"""

import os
import time
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinyalex.gradcheck.exercise import Explained, check
from tinyalex.gradcheck.marking.exercises import EXERCISES, Part, held_back
from tinyalex.gradcheck.marking.remote import Submission, stand_in, walls_stand
from tinyalex.gradcheck.marking.submissions import Student, cells
from tinyalex.support.errors import UserError, reason


@dataclass(frozen=True)
class Mark:
    """One part, marked. said: what is wrong with it; "" for nothing."""

    exercise: str
    part: Part
    said: str

    @property
    def points(self) -> int:
        return 0 if self.said else self.part.points


@dataclass
class Sheet:
    """All marks of a student. remarks: what else there is to say."""

    student: str
    marks: list[Mark] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)

    @property
    def most(self) -> int:
        return sum(mark.part.points for mark in self.marks)


def mark_all(students: Iterable[Student], expected: Iterable[str], seconds: float,
             seed: int) -> Iterator[Sheet]:
    """The sheets of the students, in their order; two files are marked at a time.

    expected: the exercises that everybody should have handed in. seconds: for each file. seed: of
    the numbers that the checks draw.
    """
    walls, pool = walls_stand(), ThreadPoolExecutor(min(2, os.cpu_count() or 1))
    waiting = [(student, {exercise: pool.submit(
        mark, exercise, student.files.get(exercise), seconds, seed, walls)
        for exercise in EXERCISES if exercise in expected or exercise in student.files})
        for student in students]
    try:
        for student, futures in waiting:
            sheet = Sheet(student.name, remarks=student.remarks)
            sheet.remarks += [] if student.files else ["nothing handed in"]
            for exercise, future in futures.items():
                marks, failed = future.result()
                sheet.marks += marks
                sheet.remarks += [f"{exercise}, {problem}" for problem in failed]
            yield sheet
    finally:  # also where it is interrupted: then what is under way ends, part by part
        pool.shutdown(wait=False, cancel_futures=True)
        while any(not future.done() for _, futures in waiting for future in futures.values()):
            for submission in [*Submission.running]:
                submission.close()
            time.sleep(0.05)


def mark(exercise: str, path: Path | None, seconds: float, seed: int,
         walls: bool) -> tuple[list[Mark], list[str]]:
    """The marks of one file, and what its cells raised."""
    if path is None:
        return [Mark(exercise, part, "not handed in") for part in EXERCISES[exercise]], []
    marks: list[Mark] = []
    failed: list[str] = []
    until, submission = time.monotonic() + seconds, None
    try:
        code = cells(path)
        for part in EXERCISES[exercise]:
            if submission is None or submission.over:  # it has not survived the part before
                left = until - time.monotonic()
                if left <= 0:
                    raise Explained(f"not tried: the {seconds:g} s for this file were up")
                submission = Submission(code, path.name, left, seconds / 10, walls)
                failed = submission.failed
            marks.append(Mark(exercise, part, _said(part, submission, seed, seconds)))
    except Exception as error:  # nothing more can be got from it, and the next one waits
        said = _reason(error)
        marks += [Mark(exercise, part, said) for part in EXERCISES[exercise][len(marks):]]
    finally:
        if submission:
            submission.close()
    return marks, failed


def _said(part: Part, submission: Submission, seed: int, seconds: float) -> str:
    """What is wrong with a part, "" for nothing."""
    rng = np.random.default_rng([seed, zlib.crc32(part.name.encode())])
    try:
        report = check(stand_in(submission, part.name), part.like, seconds + 60,
                       int(rng.integers(2**31)), held_back(part.like, rng))
    except Exception as error:
        return _reason(error)
    return "" if report.ok else str(report)


def _reason(error: Exception) -> str:
    if isinstance(error, UserError | Explained):
        return reason(error)
    return f"gives answers that cannot be read ({type(error).__name__}: {error})"
