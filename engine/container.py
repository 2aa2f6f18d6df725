"""Opens video and sound files for reading. Imports PyAV alone, so that it starts fast."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

# Tags need not be UTF-8, and must not stop us. From 19 on PyAV sees to that itself.
_READING_TAGS: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)
# FFmpeg's names of the formats that hold what they show in one file. Not among them: playlists and
# scripts, which name other files and addresses to be read, devices, numbered files, and text.
FORMATS = ",".join(
    (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,asf_o,flv,live_flv,kux,gif,ogg,rm,ivr,swf",
        "mpeg,mpegts,mpegtsraw,mpegvideo,vob,pva,dv,mxf,mxf_opatom,gxf,lxf,nut,nuv,wtv,ty,dhav",
        "h261,h263,h264,hevc,vvc,evc,apv,m4v,obu,av1,ivf,vc1,vc1test,dirac,dnxhd,cavsvideo",
        "avs2,avs3,mjpeg,mjpeg_2000,mpjpeg,yuv4mpegpipe,ingenient,cine,r3d,mlv,moflex,flic,film_cpk",
        "bink,smk,roq,ipmovie,wc3movie,thp,4xm,ea,vmd,dxa,avs,bethsoftvid,filmstrip,amv,anm,idcin",
        "aac,ac3,ac4,eac3,mp3,flac,wav,w64,rf64,aiff,au,caf,voc,amr,amrnb,amrwb,ape,tta,tak,wv",
        "mpc,mpc8,dts,dtshd,truehd,mlp,loas,latm,spdif,dsf,iff,xwma,oma,qcp,gsm,sbc,shn,iamf",
        "apng,webp_anim,jpegxl_anim,png_pipe,jpeg_pipe,jpegls_pipe,j2k_pipe,jpegxl_pipe,webp_pipe",
        "bmp_pipe,tiff_pipe,gif_pipe,dds_pipe,dpx_pipe,exr_pipe,hdr_pipe,pcx_pipe,psd_pipe,qoi_pipe",
        "sgi_pipe,sunrast_pipe,pam_pipe,pbm_pipe,pgm_pipe,ppm_pipe,pfm_pipe,xbm_pipe,xpm_pipe,ico",
    )
)
PROTOCOLS = "file"
_SCRIPTS = {
    b"ffconcat": "an ffconcat list",
    b"#extm3u": "a playlist (M3U)",
    b"[playlist]": "a playlist (PLS)",
    b"[reference]": "a playlist (ASX)",
    b"<asx": "a playlist (ASX)",
    b"<smil": "a playlist (SMIL)",
    b"<playlist": "a playlist (XSPF)",
    b"<mpd": "a playlist (MPEG-DASH)",
    b"<smoothstreamingmedia": "a playlist (Smooth Streaming)",
    b"<compositionplaylist": "a playlist (IMF)",
    b"v=0": "a description of a stream (SDP)",
}
_LENGTH_OF_BEGINNING = 1000  # bytes, among which an XML file has its first tag


class RefusedFormat(av.error.InvalidDataError):
    """A file is of a kind that is not read; strerror is what it is, and the remedy."""


def open_container(path: Path) -> InputContainer:
    """Open a file for reading, in one of FORMATS: itself alone, none that it names.

    "file:" keeps names such as `a:b.mp4` from being taken for a protocol.

    Raises:
        RefusedFormat: it is of no such format.
        av.error.FFmpegError: it cannot be opened.
    """
    # For the container alone: older PyAVs crash on options for streams that turn up later.
    options = {"format_whitelist": FORMATS, "protocol_whitelist": PROTOCOLS}
    try:
        return av.open(f"file:{path}", container_options=options, **_READING_TAGS)
    except av.error.FFmpegError as error:
        script = kind_of_script(path)
        if script is not None:
            reason = (
                f"{script}, not a video: it only names what is to be read; give the video itself, "
                "or make one file of several with ffmpeg"
            )
        elif error.errno == errno.EINVAL:  # What FFmpeg says of formats that are not listed.
            reason = "damaged, or in a format that is not read; save it as .mp4"
        else:
            raise
        raise RefusedFormat(errno.EINVAL, reason, str(path)) from error


def kind_of_script(path: Path) -> str | None:
    """Name the kind of a file that lists others instead of holding a video; None for all else."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_LENGTH_OF_BEGINNING)
    except OSError:
        return None
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, kind in _SCRIPTS.items():
        if text.startswith(mark) or (mark[:1] == b"<" == text[:1] and mark in text):
            return kind
    return None
