"""A web page to try it: move a picture, look inside the networks, drag keypoints.

    python app.py
    python app.py --checkpoint vox.pth.tar --config config/vox-256.yaml --port 8000

Without --checkpoint it shows the one of demo/. It needs `pip install -r requirements-app.txt`, and
listens on this computer alone unless --host names another address. Ctrl-C ends it.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from engine.build import build_motion_transfer
from engine.build_animator import load_animator
from engine.command_line import Parser, run, to_path
from engine.device import announce, choose_device
from engine.errors import UserError
from engine.image import IMAGE_SUFFIXES
from engine.precision import PRECISIONS
from engine.video import VIDEO_SUFFIXES
from page.limits import Limits
from page.studio import Studio
from page.upload_folder import upload_folder
from page.visits import Visits

DEMO = Path(__file__).parent / "demo"
DEFAULT_PORT = 7860


def parse_arguments() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--checkpoint", type=to_path, help="trained networks; default: demo/'s")
    parser.add_argument(
        "--config", type=to_path, help="YAML file; default: what the checkpoint holds"
    )
    parser.add_overrides()
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="auto: the device's fastest"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="0.0.0.0 lets other computers in; default: 127.0.0.1"
    )
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}")
    add_limits(parser)
    return parser.parse_args()


def add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits", "which the page states")
    for name, what in {
        "megabytes": "of one file",
        "seconds": "of a driving video; it may have 60 times as many frames",
        "picture_megapixels": "of a picture",
        "video_megapixels": "of a frame of a driving video",
        "running": "animations computed at a time",
        "waiting": "requests that wait in line",
        "minutes": "for which files of an open page that is not used are kept",
    }.items():
        default = getattr(Limits, name)
        limits.add_argument(
            f"--max_{name}", type=int, default=default, metavar="N", help=f"{what}; {default}"
        )


def main() -> None:
    args = parse_arguments()
    limits = Limits(**{name: getattr(args, f"max_{name}") for name in Limits.__annotations__})
    if not 1 <= args.port <= 65535:
        raise UserError(f"--port {args.port}: choose one from 1 to 65535")
    checkpoint = args.checkpoint or DEMO / "checkpoint.pth.tar"
    with upload_folder() as folder:
        call_nobody(folder)
        try:
            from page import layout
        except ModuleNotFoundError as error:
            raise UserError(
                f"{error.name}: not installed; run pip install -r requirements-app.txt"
            ) from error
        device = choose_device(args.device)
        animator, config = load_animator(
            checkpoint,
            config=args.config,
            overrides=args.set,
            device=device,
            precision=args.precision,
        )
        announce(device, asked=args.device)
        shape = config.dataset_params.frame_shape
        with Visits(folder, minutes=limits.minutes) as visits:
            page = layout.build(
                Studio(animator, frame_shape=shape, limits=limits),
                visits,
                motion=build_motion_transfer(config),
                pictures=examples(IMAGE_SUFFIXES),
                videos=examples(VIDEO_SUFFIXES),
            )
            address = layout.serve(
                page, host=args.host, port=args.port, limits=limits, folder=folder
            )
            print(f"{address}: the page; Ctrl-C ends it", flush=True)
            wait()
            page.close(verbose=False)
    leave()


def call_nobody(folder: Path) -> None:
    """Tell gradio, before it is imported, to stay at home, and where to put what people bring."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def examples(suffixes: frozenset[str]) -> list[Path]:
    """Files of demo/ to choose from."""
    return sorted(path for path in DEMO.iterdir() if path.suffix.lower() in suffixes)


def wait() -> None:
    """Until Ctrl-C or SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    try:
        while not ended.wait(3600):
            pass
    except KeyboardInterrupt:
        print(file=sys.stderr)


def leave() -> NoReturn:
    """End the process, not Python before it: that aborts where gradio's threads are in C++ code."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    run(main)
