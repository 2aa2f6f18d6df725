"""The canvas of a head: coordinates in which every head looks alike."""

import numpy as np
from numpy.typing import NDArray

from tools.puppets.figure import Identity, Look
from tools.puppets.patch import Patch
from tools.puppets.shapes import curve, ellipse, outline

Array = NDArray[np.floating]


class HeadCanvas:
    """The coordinates of one head: `u` in half widths, `v` in heights, both from its middle."""

    def __init__(self, identity: Identity, density: float) -> None:
        body = identity.body
        self.look: Look = identity.look
        self.high = body.head
        self.wide = 0.385 * body.head
        self.middle = -(body.neck + 0.5 * body.head)
        low = (-2.1 * self.wide, self.middle - 0.85 * self.high)
        self.patch = Patch(low, (2.1 * self.wide, self.middle + 1.3 * self.high), density)
        self.u = self.patch.x / self.wide
        self.v = (self.patch.y - self.middle) / self.high

    def oval(self, u: float, v: float, across: float, down: float) -> Array:
        """Distance to an ellipse given in half widths and heights."""
        centre = (u * self.wide, self.middle + v * self.high)
        return ellipse(self.patch.x, self.patch.y, centre, (across * self.wide, down * self.high))

    def shape(self, points: list[tuple[float, float]], *, smooth: bool = True) -> Array:
        """Distance to an outline given in half widths and heights."""
        scaled = [(u * self.wide, self.middle + v * self.high) for u, v in points]
        return outline(self.patch.x, self.patch.y, curve(scaled) if smooth else scaled)
