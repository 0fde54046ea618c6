"""What was handed in: whose it is, which exercise, and the code in it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tinyalex.gradcheck.marking.exercises import EXERCISES
from tinyalex.support import reading
from tinyalex.support.errors import UserError

ENDINGS = (".ipynb", ".py")


@dataclass
class Student:
    """name: of the folder. files: by exercise. remarks: on what cannot be marked."""

    name: str
    files: dict[str, Path] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, path: Path):
        """Take the file as the answer to its exercise, or remark why not."""
        exercise = exercise_of(path)
        if not exercise:
            self.remarks.append(f"{path.name}: which exercise is it? Its name must begin with the "
                                f"number, such as {next(iter(EXERCISES))}{path.suffix}")
        elif path.is_symlink():
            self.remarks.append(f"{path.name}: a link, which may lead to anyone's file")
        elif exercise in self.files:
            self.remarks.append(f"{path.name}: one more file for this exercise; the one marked is "
                                f"{self.files[exercise].name}")
        else:
            self.files[exercise] = path


def find(paths: Iterable[Path]) -> list[Student]:
    """The students whose files these are, or who have folders in these folders. UserError where
    there is nothing."""
    students: dict[str, Student] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder", "check the path.")
        for name, file in _handed_in(path):
            student = students.setdefault(name, Student(name))
            if file:
                student.add(file)
        if not students:
            raise UserError(f"{path}: nothing to mark here",
                            "name .ipynb or .py files, folders with some, or a folder of such "
                            "folders, one for each student.")
    return sorted(students.values(), key=lambda student: student.name)


def _handed_in(path: Path) -> Iterable[tuple[str, Path | None]]:
    """Names of students, each with a file, or None for a folder that is there."""
    if path.is_file():
        return [(path.absolute().parent.name, path)]
    found: list[tuple[str, Path | None]] = [
        (file.name, None) for file in sorted(path.iterdir())
        if file.is_dir() and not file.name.startswith((".", "_"))]
    for file in sorted(path.rglob("*"), key=lambda file: (exercise_of(file) != file.stem, file)):
        inner = file.relative_to(path).parts
        if file.suffix in ENDINGS and not any(part.startswith((".", "_")) for part in inner):
            found.append((inner[0] if len(inner) > 1 else path.absolute().name, file))
    return found


def exercise_of(path: Path) -> str:
    """The exercise that a file is named after: 04…, or with its name anywhere; "" for none."""
    return next((exercise for exercise in EXERCISES if exercise in path.stem
                 or re.match(rf"{exercise[:2]}(?!\d)", path.stem)), "")


def cells(path: Path) -> list[str]:
    """The code of a notebook, or of a plain file with `# %%` between its cells, by cell. UserError
    for what is neither."""
    try:
        if path.suffix == ".py":
            return re.split(r"^# %%.*$", reading.text(path, blank=True), flags=re.MULTILINE)
        cells = reading.record(path)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        return ["".join(source) for source in sources]
    except (ValueError, KeyError, TypeError) as error:
        kind = "text" if path.suffix == ".py" else "notebook"
        raise UserError(f"{path.name}: not a {kind} ({error})", "save it again.") from None
