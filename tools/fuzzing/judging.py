"""The promises that every run has to keep, and seeing whether it did."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.fuzzing.run import Ending, Failure, Run

SECONDS = 30  # of wall clock
MEMORY = 2 * 10**9  # bytes
LENGTH = 600  # characters of a message
_LARGEST_HASHED = 2**28  # bytes; of larger files the size and the time of change are compared

_TEMPORARY = re.compile(r"^\.partial|\.(tmp|part|partial)$|^\..*\.[0-9a-f]{8}\.\w+$")

TRACE = "EXECUTED"  # the file that code in an input would write

# Words with which a remedy begins.
# fmt: off
_IMPERATIVES = frozenset({
    "add", "allow", "ask", "begin", "change", "check", "choose", "clear", "close", "convert",
    "copy", "correct", "cut", "define", "delete", "divide", "download", "drop", "end", "enlarge",
    "evaluate", "export", "fill", "find", "fix", "free", "get", "give", "go", "install", "keep",
    "leave", "let", "list", "load", "lower", "make", "mend", "mount", "move", "name", "pass",
    "pick", "pip", "pull", "put", "raise", "re-encode", "reduce", "remove", "rename", "repair",
    "repeat", "replace", "resize", "restore", "retry", "run", "save", "say", "score", "see",
    "select", "set", "shorten", "split", "start", "stop", "take", "train", "trim", "try", "turn",
    "unpack", "unset", "update", "upgrade", "use", "wait", "widen", "write",
})
# fmt: on
_LEADS = frozenset({"or", "and", "then", "please", "first", "instead", "either", "so", "better"})
_PLACE = re.compile(r"^\S+: |--\w|/|\w\.\w|\w_\w")
_LOG_LINE = re.compile(r"(INFO|WARNING): \S")
_VERDICTS = {"check_data": {0, 1}}  # 1: there are videos that cannot be used


def snapshot(folder: Path) -> dict[str, str]:
    """What tells each entry of a folder from another: its kind, and its content or target."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(parent) / name
            found[str(path.relative_to(folder))] = _state(path)
    return found


def _state(path: Path) -> str:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return f"link to {path.readlink()}"
    if stat.S_ISDIR(info.st_mode):
        return "folder"
    if not stat.S_ISREG(info.st_mode):
        return "special"
    if info.st_size > _LARGEST_HASHED:
        return f"file of {info.st_size} bytes, {info.st_mtime_ns}"
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def judge(
    run: Run, ending: Ending, before: Mapping[str, str], after: Mapping[str, str]
) -> list[Failure]:
    """The promises that a run broke.

    Args:
        before, after: `snapshot` of its place.
    """
    return [
        *_of_the_process(run, ending),
        *_of_what_it_printed(run, ending),
        *_of_files(run, ending, before, after),
    ]


def _of_the_process(run: Run, ending: Ending) -> Iterator[Failure]:
    if ending.code is None:
        yield Failure("hang", f"no end after {ending.seconds:.0f} s")
    elif ending.code < 0:
        yield Failure("crash", f"ended by signal {-ending.code}")
    elif ending.code not in _VERDICTS.get(run.command, {0}) | {2} and not _traced(ending):
        yield Failure("exit code", f"{ending.code}, of 0 and 2")
    if ending.peak > MEMORY:
        yield Failure("memory", f"{ending.peak / 1e9:.1f} GB")


def _traced(ending: Ending) -> bool:
    return "Traceback (most recent call last)" in ending.stderr


def _of_what_it_printed(run: Run, ending: Ending) -> Iterator[Failure]:
    if _traced(ending):
        lines = ending.stderr.strip().splitlines()
        ours = [line.strip() for line in lines if line.startswith("  File ")]
        yield Failure("traceback", f"{lines[-1][:300]} [{ours[-1][-150:] if ours else ''}]")
        return
    lines = [line for line in ending.stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    strange = [it for it in lines if not it.startswith("error: ") and not _LOG_LINE.match(it)]
    if strange:
        yield Failure("library", strange[0][:300])
    if ending.code == 2 and len(errors) != 1:
        yield Failure("message", f"{len(errors)} lines begin with `error: `, not 1")
    if ending.code == 0 and errors:
        yield Failure("message", f"an error without its exit code: {errors[0][:300]}")
    for message in errors:
        yield from _of_a_message(run, message)


def _of_a_message(run: Run, message: str) -> Iterator[Failure]:
    if len(message) > LENGTH or re.search(r"\d{60}", message):
        yield Failure("length", f"{len(message)} characters: {message[:200]}...")
    if not has_remedy(message):
        yield Failure("remedy", message[:400])
    named = (argument for argument in run.arguments if argument)
    if not _PLACE.search(message) and not any(argument in message for argument in named):
        yield Failure("place", message[:400])


def has_remedy(message: str) -> bool:
    """Whether a message tells what to do: in a clause behind its first, by a verb or a question."""
    tail = message.rpartition("; ")[2] if "; " in message else message
    clauses = re.split(r"[;,:)] ", tail)
    if tail is message:
        clauses = clauses[1:]
    return any(map(_is_remedy, clauses))


def _is_remedy(clause: str) -> bool:
    words = clause.strip(" (").lower().split()
    while words and words[0] in _LEADS:
        words = words[1:]
    if not words:
        return False
    return words[0] in _IMPERATIVES or words[:2] == ["did", "you"] or words[0] == "do"


def _of_files(
    run: Run, ending: Ending, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[Failure]:
    for path, state in before.items():
        if ending.code == 0 and _may_be_written(path, run.writes):
            continue
        if path not in after:
            yield Failure("lost", path)
        elif after[path] != state:
            yield Failure("overwritten", path)
    for path in after.keys() - before.keys():
        name = path.rpartition("/")[2]
        if name.startswith(TRACE):
            yield Failure("code was run", path)
        elif _TEMPORARY.search(name) and path not in run.arguments:
            yield Failure("leftover", path)


def _may_be_written(path: str, writes: set[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in writes)
