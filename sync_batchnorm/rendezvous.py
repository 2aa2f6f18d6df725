"""Where the threads of one forward pass exchange rows, and how they learn that they cannot."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor


class RendezvousError(RuntimeError):
    """The replicas cannot meet: one of them failed, or they do not make the same calls."""


@dataclass
class _Round:
    """One exchange: the layer it belongs to, and what each replica has brought so far."""

    layer: str = ""
    rows: dict[int, Tensor] = field(default_factory=dict)


class Rendezvous:
    """The meeting point of `size` replicas, for all layers of one forward pass.

    A replica is one thread, and gets past an exchange only together with all the others. So one
    exchange at most is ever open, and a replica that comes to another layer, or ends, will never
    complete it. This tells calls that do not match from slow ones without a timeout: everybody
    gets an error at once instead of waiting for ever.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.failure: BaseException | None = None  # the first one: those after it follow from it
        self._changed = threading.Condition()
        self._open = _Round()
        self._ended: int | None = None

    @contextmanager
    def attend(self, replica: int) -> Iterator[None]:
        """Span the forward of one replica. However it ends, nobody waits for it afterwards."""
        try:
            yield
        except BaseException as error:
            self.abort(error)
            raise
        self._end(replica)

    def exchange(self, row: Tensor, *, layer: str, replica: int) -> list[Tensor]:
        """Bring a row, wait for those of all replicas, and return them in the replicas' order.

        Raises:
            RendezvousError: another replica failed, has ended, or stands in another layer.
        """
        with self._changed:
            this = self._enter(layer, replica)
            this.rows[replica] = row
            if len(this.rows) == self.size:
                self._open = _Round()
                self._changed.notify_all()
            while len(this.rows) < self.size:
                self._raise_failure()
                self._changed.wait()
        return [this.rows[index] for index in range(self.size)]

    def abort(self, error: BaseException) -> None:
        """Send everybody who waits or comes later away with a RendezvousError due to `error`."""
        with self._changed:
            if self.failure is None:
                self.failure = error
            self._changed.notify_all()

    def _enter(self, layer: str, replica: int) -> _Round:
        self._raise_failure()
        this = self._open
        if self._ended is not None:
            self._mismatch(f"replica {replica} is in {layer!r}, but {self._ended} has ended")
        if replica in this.rows:
            self._mismatch(f"replica {replica} is in {layer!r} twice at a time")
        if this.rows and this.layer != layer:
            others = sorted(this.rows)
            self._mismatch(f"replica {replica} is in {layer!r}, but {others} in {this.layer!r}")
        this.layer = layer
        return this

    def _end(self, replica: int) -> None:
        with self._changed:
            self._ended = replica
            if self._open.rows:
                others, layer = sorted(self._open.rows), self._open.layer
                self._mismatch(f"replica {replica} has ended, but {others} wait in {layer!r}")

    def _mismatch(self, what: str) -> None:
        rule = "each replica must call the same layers, equally often and in the same order"
        self.abort(RendezvousError(f"batch statistics cannot be shared: {what}; {rule}"))
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise RendezvousError("another replica failed") from self.failure
