"""The sound of a driving video, put beside new frames: copied where that can be, else encoded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import NamedTuple, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.video.frame import VideoFrame

from engine.container import open_container
from engine.frame_index import seconds
from engine.video_reader import Sound

_log = logging.getLogger(__name__)

_RATE = 48000  # Every encoder takes it.
_BITS_PER_CHANNEL = 96_000


class SoundFormat(NamedTuple):
    """How a container holds sound.

    Attributes:
        copied: codecs that go in as they are.
        encoder: what makes of any other codec one that fits.
        run_up: seconds that may lie hidden before the start, for a decoder needs what came shortly
            before what is heard.
    """

    copied: frozenset[str]
    encoder: str
    run_up: Fraction = Fraction(0)


def open_track(sound: Sound, output: OutputContainer, form: SoundFormat) -> SoundTrack | None:
    """Add sound to a container that nothing has been written to; None, with a warning, if none is.

    Raises FFmpegError if the container cannot be written to.
    """
    first = first_frame(sound)
    if first is None:
        _log.warning("%s: its sound cannot be decoded; the result is silent", sound.path)
        return None
    return SoundTrack(sound, output, form, first=first)


class SoundTrack:
    """Copies or encodes sound into a container, up to a moment at a time.

    Args:
        sound, output, form: as open_track's.
        first: what the first frame of the sound is like.
    """

    def __init__(
        self, sound: Sound, output: OutputContainer, form: SoundFormat, *, first: AudioFrame
    ) -> None:
        self._sound = sound
        self._output = output
        self._damaged = False
        self._input = open_container(sound.path)
        source = audio_stream(self._input)
        assert source is not None, "its first frame has been decoded"
        self._source = source
        if self._source.codec_context.codec.canonical_name in form.copied:
            self._target = output.add_stream_from_template(self._source)
            self._packets = self._copied(form.run_up)
        else:
            layout, channels = ("mono", 1) if first.layout.nb_channels == 1 else ("stereo", 2)
            bit_rate = channels * _BITS_PER_CHANNEL
            target = output.add_stream(form.encoder, rate=_RATE, layout=layout, bit_rate=bit_rate)
            self._target = cast(AudioStream, target)
            self._packets = self._encoded(GapFiller(first))
        self._next = next(self._packets, None)

    def mux_until(self, end: Fraction) -> None:
        """Write the packets that are over by the second `end`."""
        while (packet := self._next) is not None and end_of(packet) <= end:
            self._output.mux(packet)
            self._next = next(self._packets, None)

    def finish(self, end: Fraction) -> None:
        """Write the rest of what is heard before `end`."""
        self.mux_until(end)
        packet = self._next
        if packet is None or packet.duration is None or packet.time_base is None:
            return
        too_long = round((end_of(packet) - end) / packet.time_base)
        if too_long < packet.duration:
            packet.duration -= too_long
            self._output.mux(packet)

    def close(self) -> None:
        self._input.close()
        if self._damaged:
            _log.warning("%s: parts of its sound are damaged and left silent", self._sound.path)

    def _copied(self, run_up: Fraction) -> Iterator[Packet]:
        last: int | None = None
        for packet in self._demuxed():
            if not packet.size or packet.pts is None or packet.time_base is None:
                continue
            packet.dts = packet.pts = packet.pts - round(self._sound.start / packet.time_base)
            # Muxers take no packet that is not later than the one before.
            if end_of(packet) <= -run_up or (last is not None and packet.pts <= last):
                continue
            last = packet.pts
            packet.stream = self._target
            yield packet

    def _encoded(self, filler: GapFiller) -> Iterator[Packet]:
        for frame in self._decoded():
            if filler.takes(frame):
                for continuous in filler.push(frame):
                    yield from self._target.encode(continuous)
            else:
                self._damaged = True
        for continuous in filler.push(None):
            yield from self._target.encode(continuous)
        yield from self._target.encode(None)

    def _decoded(self) -> Iterator[AudioFrame]:
        for packet in self._demuxed():
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self._damaged = True
                continue
            for frame in cast(list[AudioFrame], frames):
                if frame.pts is not None and frame.time_base is not None:
                    frame.pts -= round(self._sound.start / frame.time_base)
                    yield frame

    def _demuxed(self) -> Iterator[Packet]:
        try:
            yield from self._input.demux(self._source)
        except av.error.FFmpegError:
            self._damaged = True


class GapFiller:
    """Makes sound continuous from 0 on: silence where there is none, since encoders merely count.

    Args:
        first: frames of another kind than this one are not taken.
    """

    def __init__(self, first: AudioFrame) -> None:
        self._kind = kind_of(first)
        self._graph = Graph()
        source = self._graph.add_abuffer(
            sample_rate=first.sample_rate,
            format=first.format,
            layout=first.layout,
            time_base=first.time_base,
        )
        fill = self._graph.add("aresample", "async=1:first_pts=0")
        self._graph.link_nodes(source, fill, self._graph.add("abuffersink")).configure()

    def takes(self, frame: AudioFrame) -> bool:
        return kind_of(frame) == self._kind

    def push(self, frame: AudioFrame | None) -> Iterator[AudioFrame]:
        """Take a frame, or None at the end, and give what is ready."""
        self._graph.push(frame)
        return cast(Iterator[AudioFrame], pulled(self._graph))


def kind_of(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.format.name, frame.layout.name


def pulled(graph: Graph) -> Iterator[AudioFrame | VideoFrame]:
    """All frames that a filter has ready."""
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def audio_stream(container: InputContainer) -> AudioStream | None:
    """Choose the stream that players choose; None if the headers of all are damaged."""
    return cast("AudioStream | None", container.streams.best("audio"))


def first_frame(sound: Sound) -> AudioFrame | None:
    """Decode no more than the first frame; None if none can be."""
    with suppress(av.error.FFmpegError), open_container(sound.path) as container:
        stream = audio_stream(container)
        for packet in container.demux(stream) if stream is not None else ():
            with suppress(av.error.FFmpegError):
                for frame in packet.decode():
                    return cast(AudioFrame, frame)
    return None


def end_of(packet: Packet) -> Fraction:
    """The second at which what is in a packet has been heard."""
    return seconds((packet.pts or 0) + (packet.duration or 0), packet.time_base)
