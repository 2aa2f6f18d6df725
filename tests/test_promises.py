"""What docs/promises.md says: the tests that it names are there, and messages have remedies."""

import ast
import re
from pathlib import Path

from commands import ROOT

from tools.fuzzing.judging import has_remedy

PAGE = ROOT / "docs" / "promises.md"


def names_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def rows() -> list[list[str]]:
    """The cells of each promise."""
    tables = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables]
    return [row for row in cells if row[0] not in ("fault", "---")]


def test_every_promise_names_tests_that_are_there() -> None:
    assert len(rows()) > 20
    for row in rows():
        fault, promise, tests = row
        assert fault and promise
        files = re.findall(r"\[(\w+\.py)\]\(\.\./tests/(\w+\.py)\)((?: `\w+`)+)", tests)
        assert files, row
        for shown, linked, names in files:
            assert shown == linked
            missing = set(re.findall(r"\w+", names)) - names_in(ROOT / "tests" / linked)
            assert not missing, f"{linked}: {missing}"
        named = sum(len(names.split()) for _, _, names in files)
        assert named == tests.count("`") // 2, f"a test without its file: {tests}"


def text_of(node: ast.expr) -> str:
    """A message as it is written, with what is filled in between braces."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


def messages() -> dict[str, str]:
    """Every message of a UserError in the code, by where it stands."""
    parts = ("", "config/", "engine/", "page/", "tools/**/")
    found = {}
    for path in sorted(path for part in parts for path in ROOT.glob(f"{part}*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = ast.unparse(node.func).rpartition(".")[2]
                if name in ("UserError", "UnreadableVideo", "ConfigError"):
                    found[f"{path.relative_to(ROOT)}:{node.lineno}"] = text_of(node.args[0])
    return found


def test_every_message_that_is_written_out_says_what_to_do() -> None:
    """Where a part is filled in that may be the remedy, only a run can tell."""
    assert len(messages()) > 200
    for where, message in messages().items():
        filled_in = re.search(r"(^|[;,:] )\{\}", message) is not None
        assert filled_in or has_remedy(message), f"{where}: {message}"
