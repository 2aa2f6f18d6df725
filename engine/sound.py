"""The sound of a driving video, put beside new frames: copied where that can be, else encoded."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from typing import NamedTuple, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet

from engine.frame_index import open_container, seconds
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


class SoundTrack:
    """Copies or encodes sound into a container, up to a moment at a time.

    Args:
        sound: what to take it from.
        output: where to put it; nothing has been written there yet.
        form: what the container takes.

    Raises FFmpegError, if there is no sound in the file that can be decoded.
    """

    def __init__(self, sound: Sound, output: OutputContainer, form: SoundFormat) -> None:
        self._sound = sound
        self._output = output
        self._input = open_container(sound.path)
        self._source = audio_stream(self._input)
        self._damaged = False
        first = first_frame(sound)
        if self._source.codec_context.codec.canonical_name in form.copied:
            self._target = output.add_stream_from_template(self._source)
            self._packets = self._copied(form.run_up)
        else:
            layout = "mono" if first.layout.nb_channels == 1 else "stereo"
            bit_rate = _BITS_PER_CHANNEL * (1 if layout == "mono" else 2)
            self._target = cast(
                AudioStream,
                output.add_stream(form.encoder, rate=_RATE, layout=layout, bit_rate=bit_rate),
            )
            self._packets = self._encoded()
        self._next = next(self._packets, None)

    def mux_until(self, end: Fraction) -> None:
        """Write what is heard before the second `end`."""
        while (packet := self._next) is not None:
            if seconds(packet.pts, packet.time_base) >= end:
                return
            self._output.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self._input.close()
        if self._damaged:
            _log.warning("%s: parts of its sound are damaged and left silent", self._sound.path)

    def _copied(self, run_up: Fraction) -> Iterator[Packet]:
        last: int | None = None
        for packet in self._input.demux(self._source):
            if not packet.size or packet.pts is None or packet.time_base is None:
                continue
            packet.dts = packet.pts = packet.pts - round(self._sound.start / packet.time_base)
            heard_until = (packet.pts + (packet.duration or 0)) * packet.time_base
            # Muxers take no packet that is not later than the one before.
            if heard_until <= -run_up or (last is not None and packet.pts <= last):
                continue
            last = packet.pts
            packet.stream = self._target
            yield packet

    def _encoded(self) -> Iterator[Packet]:
        for frame in chain(self._continuous(), [None]):
            yield from self._target.encode(frame)

    def _continuous(self) -> Iterator[AudioFrame]:
        """Decode, begin at 0, and fill gaps with silence: encoders merely count samples."""
        graph: Graph | None = None
        for frame in self._decoded():
            assert frame.pts is not None and frame.time_base is not None
            frame.pts -= round(self._sound.start / frame.time_base)
            graph = graph or gap_filler(frame)
            graph.push(frame)
            yield from pulled(graph)
        if graph is not None:
            graph.push(None)
            yield from pulled(graph)

    def _decoded(self) -> Iterator[AudioFrame]:
        for packet in self._input.demux(self._source):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                self._damaged = True
                continue
            yield from (frame for frame in frames if frame.pts is not None)


def audio_stream(container: InputContainer) -> AudioStream:
    """Choose the stream that players choose."""
    return cast(AudioStream, container.streams.best("audio"))


def first_frame(sound: Sound) -> AudioFrame:
    """Decode no more than the first frame."""
    with open_container(sound.path) as container:
        return next(container.decode(audio_stream(container)))


def gap_filler(frame: AudioFrame) -> Graph:
    """Make a filter for frames like this one: silence wherever there are none, from 0 on."""
    graph = Graph()
    graph.link_nodes(
        graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format,
            layout=frame.layout.name,
            time_base=frame.time_base,
        ),
        graph.add("aresample", "async=1:first_pts=0"),
        graph.add("abuffersink"),
    ).configure()
    return graph


def pulled(graph: Graph) -> Iterator[AudioFrame]:
    """All frames that a filter has ready."""
    while True:
        try:
            yield cast(AudioFrame, graph.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return
