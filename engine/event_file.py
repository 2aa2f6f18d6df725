"""Files of events, which TensorBoard shows."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from engine.output import writing


class EventFile:
    """A new file of events in a folder; what is written is on the disk at once.

    The writers that come with TensorBoard have a thread do it: two minutes late, and on a full disk
    with a traceback of its own.

    Args:
        folder: is there.
        first_step: of this file; TensorBoard forgets what files before it have from there on.

    Raises:
        UserError: the folder cannot be written to; so does `write`, once the disk is full.
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)  # they are read in order of names
        self._path = folder / f"events.out.tfevents.{seconds:010d}.{nanoseconds:09d}"
        with writing(self._path):
            self._records = RecordWriter(self._path.open("xb"))
        self._add(Event(file_version="brain.Event:2"))
        if first_step:
            start = SessionLog(status=SessionLog.START)
            self._add(Event(step=first_step, session_log=start))

    def write(self, step: int, summaries: Iterable[Summary]) -> None:
        """Add what was seen at a step."""
        values = [value for summary in summaries for value in summary.value]
        self._add(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        with writing(self._path):
            self._records.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        with writing(self._path):
            self._records.write(event.SerializeToString())
            self._records.flush()
