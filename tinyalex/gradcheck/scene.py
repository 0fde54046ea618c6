"""What went into a check and came out of it: what a diagnosis is made from."""

from dataclasses import dataclass

import numpy as np

Candidate = tuple[str, str, np.ndarray]  # the mistake's name, a hint, the gradient it would give


@dataclass
class Scene:
    """Everything that went into a check, and came out of it.

    kind: whose mistakes to look for. arrays: x and the parameters. dys: upstream. gradients: what
    backward said. numeric: the slopes, in full, or None for an array too large for that.
    """

    kind: str
    subject: object
    arrays: dict[str, np.ndarray]
    dys: list[np.ndarray]
    gradients: dict[str, np.ndarray | None]
    numeric: dict[str, np.ndarray | None]

    @property
    def layer(self):
        """What knows the settings (kernel, stride, …): a learner's own class may not."""
        return getattr(self.subject, "settings", None) or self.subject.layer

    @property
    def x(self):
        return self.arrays["x"]

    @property
    def dy(self):
        return self.dys[0]
