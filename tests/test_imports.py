"""Imports go one way: every file names only what stands below it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENTRY_POINTS = ("train", "animate", "reconstruction", "evaluate", "app")

# What each part may import of the project, by prefix; the longest prefix that fits a file counts.
ALLOWED = {
    "train": ("training_run", "training_report", "engine", "frames_dataset", "logger", "config"),
    "training_run": ("training_report", "engine", "frames_dataset", "logger", "config"),
    "training_report": ("engine", "frames_dataset", "logger", "config"),
    "animate": ("animation_run", "engine", "config"),
    "animation_run": ("engine", "frames_dataset", "config"),
    "reconstruction": ("engine", "frames_dataset", "config"),
    "evaluate": ("evaluation_run", "engine", "tools.puppets"),
    "evaluation_run": ("engine", "config", "tools.puppets"),
    "app": ("engine", "page"),
    "page": ("engine", "page", "modules.generator", "modules.keypoints"),
    "page.probe": ("engine.container", "engine.file_kind", "engine.heif"),
    "tools": ("engine", "frames_dataset", "config", "tools", "modules.keypoints"),
    "tools.bench": ("engine", "tools", "modules", "config"),
    "tools.fuzzing": ("engine", "tools"),
    "tools.fuzzing.commands": (
        *("animate", "app", "evaluate", "reconstruction", "train"),
        *("page", "tools"),
    ),
    "frames_dataset": ("engine",),
    "augmentation": ("engine",),
    "logger": ("engine",),
    "config": ("config", "engine.errors"),
    "engine": ("engine", "modules", "sync_batchnorm"),
    "engine.build": ("engine", "modules", "config"),
    "engine.build_animator": ("engine", "config"),
    "engine.build_files": ("engine", "config"),
    "engine.build_data": ("engine", "config", "frames_dataset", "augmentation"),
    "engine.build_training": ("engine", "modules", "config", "sync_batchnorm"),
    "modules": (),
    "modules.geometry": (),
    "modules.convolution": (),
    "modules.upsampling": ("modules.convolution",),
    "modules.util": ("modules.convolution", "modules.upsampling", "sync_batchnorm"),
    "modules.keypoints": ("modules.geometry",),
    "modules.equivariance": ("modules.geometry",),
    "modules.losses": ("modules.geometry",),
    "modules.perceptual": ("modules.util", "modules.winograd"),
    "modules.lpips": (),
    "modules.keypoint_detector": ("modules.keypoints", "modules.util", "modules.geometry"),
    "modules.dense_motion": ("modules.keypoints", "modules.util", "modules.geometry"),
    "modules.discriminator": ("modules.keypoints", "modules.util", "modules.geometry"),
    "modules.generator": (
        "modules.dense_motion",
        "modules.keypoints",
        "modules.util",
        "modules.geometry",
    ),
    "modules.winograd": (),
    "modules.folding": (
        "modules.generator",
        "modules.upsampling",
        "modules.util",
        "modules.winograd",
    ),
    "modules.exportable": (
        "modules.generator",
        "modules.keypoint_detector",
        "modules.keypoints",
    ),
    "modules.step": ("modules.equivariance", "modules.generator", "modules.keypoints"),
    "modules.model": ("modules",),
    "sync_batchnorm": ("sync_batchnorm",),
}
OURS = {name.split(".")[0] for name in ALLOWED}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def source_files() -> list[Path]:
    folders = ("config", "engine", "modules", "page", "sync_batchnorm", "tools")
    inner = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted([*ROOT.glob("*.py"), *inner])


def is_module(name: str) -> bool:
    return (ROOT / f"{name.replace('.', '/')}.py").is_file()


def imported_modules(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; `from a import b` counts as a.b and a."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names.add(node.module)
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inner if is_module(name)}
    return names


def allowed_for(module: str) -> tuple[str, ...]:
    fitting = [p for p in ALLOWED if module == p or module.startswith(f"{p}.")]
    assert fitting, f"{module}: has no place in the table of imports"
    return ALLOWED[max(fitting, key=len)]


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    module = module_name(path)
    allowed = allowed_for(module)
    for name in imported_modules(path):
        if name.split(".")[0] not in OURS or name == module:
            continue
        fits = any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
        assert fits, f"{module} must not import {name}"


def reachable(module: str) -> set[str]:
    """All modules of the project that importing one of them loads."""
    files = {module_name(path): path for path in source_files()}
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current in seen or current not in files:
            continue
        seen.add(current)
        waiting += imported_modules(files[current])
    return seen


@pytest.mark.parametrize("entry_point", ["animate", "reconstruction", "evaluate", "app"])
def test_inference_loads_no_training_code(entry_point: str) -> None:
    training_only = {"modules.losses", "modules.model", "augmentation", "logger"}
    training_only |= {"training_run", "training_report"}
    training_only |= {"engine.board", "engine.visualizer"}
    found = reachable(entry_point)
    assert not found & training_only
    files = {module_name(path): path for path in source_files()}
    slow = {"matplotlib", "tensorboard", "torch.utils.tensorboard", "torchvision"}
    for module in found & files.keys():
        assert not imported_modules(files[module]) & slow, module


def test_animating_waits_for_no_import_that_it_does_not_need() -> None:
    slow = {"matplotlib", "scipy", "skimage", "tensorboard", "torch._dynamo", "torchvision"}
    code = f"""
import sys, animate, torch
from modules.winograd import WinogradConvolution
ones = torch.ones(1, 1, 3, 3)
with torch.inference_mode():
    WinogradConvolution(ones, torch.ones(1), dtype=torch.float32)(ones)
print(*({slow} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", source_files(), ids=module_name)
def test_only_the_commands_know_argparse_and_only_geometry_samples(path: Path) -> None:
    module, text = module_name(path), path.read_text()
    knows_argparse = (*ENTRY_POINTS, "engine.command_line")
    if module not in knows_argparse and path.parent.name != "tools":
        assert "argparse" not in imported_modules(path)
    if module != "modules.geometry":
        assert "grid_sample" not in text
    if module.startswith("modules"):
        assert ".cuda(" not in text
