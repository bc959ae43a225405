"""Which rules are reached by the tests of their own level: ``python -m tests.ownlevel [--branches]``.

A rule is a ``raise``: what a message, a certificate or a caller is refused for. With ``--branches`` every way that a decision
can go counts as well; one that begins with a ``raise`` is that rule. Modules are compiled with a mark before each of them while the unit tests of their package run; a test
of another level, which may reach a rule by chance and say nothing about it, does not count. Ends with 1 when a test fails or
a rule is not reached.
"""

from __future__ import annotations

import argparse
import ast
import sys
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, ModuleType

# Each package and the tests of its level.
LEVELS = {
    "schemas": "tests/unit/schemas",
    "certs": "tests/unit/certs",
    "gateway/exchange": "tests/unit/gateway/exchange",
}
# Of no level of its own: services for a laptop, files and sockets, a device behind its vendor's library.
ELSEWHERE = ("certs/dev", "certs/edges", "certs/tokens/hardware.py")
# Raised for whoever wrote the code.
NO_RULES = {"AssertionError", "NotImplementedError", "RuntimeError"}
# Rules that no input reaches on a machine where tests run, by their file and a piece of their text; each with the reason.
ANOTHER_PYTHON = "another interpreter, or OpenSSL, than the one that runs the tests"
OUT_OF_REACH = {
    ("certs/remotetls.py", "need CPython with a shared OpenSSL 3"): ANOTHER_PYTHON,
    ("certs/remotetls.py", "another OpenSSL than the one"): ANOTHER_PYTHON,
    ("certs/remotetls.py", "cannot be reached"): ANOTHER_PYTHON,
    ("certs/remotetls.py", "keeps its TLS contexts in another way"): ANOTHER_PYTHON,
    ("certs/remotetls.py", "OpenSSL cannot read a certificate"): "the library that wrote it read it before",
}
MARK = "_rule_reached"


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A place of the source: its file below the project, its line, and what stands there."""

    path: str
    line: int
    text: str


def level_of(path: str) -> str | None:
    """The package of a source file or the one whose tests a test file holds; None for any other file."""
    if path.startswith(ELSEWHERE):
        return None
    return next((p for p, tests in LEVELS.items() if path.startswith((f"{p}/", f"{tests}/"))), None)


class Marker(ast.NodeTransformer):
    """Puts a call before each rule, with the rule's number, and keeps the rules in their order."""

    def __init__(self, path: str, *, branches: bool) -> None:
        self.path = path
        self.branches = branches
        self.rules: list[Rule] = []

    def _mark(self, node: ast.AST, text: str) -> ast.stmt:
        line = getattr(node, "lineno", 1)
        self.rules.append(Rule(self.path, line, text))
        call = ast.parse(f"{MARK}({self.path!r}, {len(self.rules) - 1})").body[0]
        for part in ast.walk(call):
            ast.copy_location(part, node)
        return call

    def visit_Raise(self, node: ast.Raise) -> ast.stmt | list[ast.stmt]:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if raised is None or ast.unparse(raised) in NO_RULES:
            return node
        return [self._mark(node, ast.unparse(node)), node]

    def _mark_way(self, body: list[ast.stmt], at: ast.AST, text: str) -> None:
        """Mark a way of a decision, unless it is a refusal, which is a rule by itself."""
        if self.branches and not (body and isinstance(body[0], ast.Raise)):
            body.insert(0, self._mark(body[0] if body else at, text))

    def visit_If(self, node: ast.If) -> ast.stmt:
        test = ast.unparse(node.test)
        if test == "TYPE_CHECKING":
            return node
        self._mark_way(node.body, node, f"if {test}")
        self._mark_way(node.orelse, node, f"if not ({test})")
        self.generic_visit(node)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        self._mark_way(node.body, node, f"except {ast.unparse(node.type) if node.type else ''}")
        self.generic_visit(node)
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.match_case:
        self._mark_way(node.body, node, f"case {ast.unparse(node.pattern)}")
        self.generic_visit(node)
        return node


def marked(path: Path, *, branches: bool) -> tuple[ast.Module, list[Rule]]:
    """A module's tree with its marks, and its rules by their numbers."""
    marker = Marker(path.relative_to(PROJECT).as_posix(), branches=branches)
    tree = marker.visit(ast.parse(path.read_text("utf-8")))
    return ast.fix_missing_locations(tree), marker.rules


def is_out_of_reach(rule: Rule) -> bool:
    """Whether a rule is one of those that no test can reach here."""
    return any(rule.path == path and piece in rule.text for path, piece in OUT_OF_REACH)


class Measure(MetaPathFinder):
    """Compiles modules with marks, and counts what the tests of each level reach."""

    def __init__(self, *, branches: bool) -> None:
        self.branches = branches
        self.level: str | None = None
        self.reached: set[tuple[str, int]] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module of a level with a loader that marks it; any other is left to the interpreter."""
        if not fullname.startswith(tuple(p.replace("/", ".") for p in LEVELS)):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            if origin.is_relative_to(PROJECT) and level_of(origin.relative_to(PROJECT).as_posix()):
                spec.loader = MarkingLoader(fullname, spec.origin, self)
        return spec

    def reach(self, path: str, number: int) -> None:
        """Called by a mark."""
        if self.level is not None and path.startswith(f"{self.level}/"):
            self.reached.add((path, number))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins: what it reaches counts for its own level."""
        self.level = level_of(nodeid)

    def unreached(self) -> Iterator[Rule]:
        """The rules that no test of their level reached."""
        for package in LEVELS:
            for path in sorted((PROJECT / package).rglob("*.py")):
                if level_of(path.relative_to(PROJECT).as_posix()) is not None:
                    rules = marked(path, branches=self.branches)[1]
                    yield from (r for n, r in enumerate(rules) if (r.path, n) not in self.reached)


class MarkingLoader(SourceFileLoader):
    """Loads a module with marks in it; nothing of that is kept on the disk."""

    def __init__(self, fullname: str, path: str, measure: Measure) -> None:
        super().__init__(fullname, path)
        self._measure = measure

    def get_code(self, fullname: str) -> CodeType:
        """The code, compiled anew."""
        tree, _ = marked(Path(self.path), branches=self._measure.branches)
        code: CodeType = compile(tree, self.path, "exec", dont_inherit=True)
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, which finds the mark among its names."""
        module.__dict__[MARK] = self._measure.reach
        super().exec_module(module)


def main() -> int:
    """Run the tests, print what is not reached; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--branches", action="store_true", help="each way of a decision counts, not refusals alone"
    )
    chosen = parser.parse_args()
    measure = Measure(branches=chosen.branches)
    sys.meta_path.insert(0, measure)
    status = int(pytest.main(["-q", "-p", "no:cacheprovider", *LEVELS.values()], plugins=[measure]))
    left = [rule for rule in measure.unreached() if not is_out_of_reach(rule)]
    for rule in left:
        print(f"{rule.path}:{rule.line}: no test of its level reaches: {rule.text}")
    print(f"{len(measure.reached)} rules are reached by the tests of their level, {len(left)} are not")
    return status or bool(left)


if __name__ == "__main__":
    sys.exit(main())
