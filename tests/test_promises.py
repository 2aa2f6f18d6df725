"""Every test that docs/promises.md names is there."""

import ast
import re
from pathlib import Path

from commands import ROOT

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
