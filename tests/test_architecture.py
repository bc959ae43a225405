"""The shape of the house: imports point one way, there are no cycles, and pure modules stay pure."""

from __future__ import annotations

import ast
import builtins
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("schemas", "certs", "serving", "gateway", "central_server", "social_security")
MAY_IMPORT = {
    "schemas": {"schemas"},
    "certs": {"schemas", "certs"},
    "serving": {"schemas", "certs", "serving"},
    "gateway": {"schemas", "certs", "serving", "gateway"},
    "central_server": {"schemas", "certs", "serving", "central_server"},
    "social_security": {"schemas", "serving", "social_security"},
}
# The development trust services are a process as well: it listens as every server does.
PROCESSES = {"certs.dev.__main__"}
# What a core module may not import: sockets, files, clocks, randomness, processes, logging, event loops.
IMPURE = {
    "asyncio",
    "aiohttp",
    "socket",
    "sqlite3",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "subprocess",
    "time",
}
PURE = (
    "schemas",
    "certs",
    "gateway/exchange",
    "gateway/policies/decision.py",
    "gateway/policies/gate.py",
    "gateway/policies/soap.py",
    "gateway/clients/model.py",
    "gateway/clients/records.py",
    "gateway/descriptions",
    "gateway/metaservices/listing.py",
    "gateway/metaservices/catalogue.py",
    "gateway/clients/validation/soapchecks.py",
    "gateway/clients/validation/restchecks.py",
    "central_server/registry/model.py",
    "central_server/publication/generate.py",
    "central_server/management/requests.py",
    "central_server/management/verification.py",
    "central_server/management/trusted.py",
)
NOT_PURE = (
    "gateway/clients/descriptions/fetching.py",
    "gateway/clients/descriptions/reading.py",
    "gateway/clients/registration.py",
    "certs/edges",
    "certs/dev",
    "certs/tls.py",  # contexts read their key from a sealed file: OpenSSL offers no other way
    "certs/tokens/hardware.py",  # a device, behind its vendor's library
    "certs/sealing.py",  # makes nonces
    "certs/tokens/soft.py",  # makes keys and salts, and signs with RSA in threads
    "certs/signing.py",  # gathers waiting messages in the event loop
)
# Every exception class, and no other: one where some code catches it by type (docs/decisions/0026-exceptions.md).
EXCEPTIONS = {
    *("Fault", "BadMessage", "NotProved", "TokenFailed", "PeerFault", "UnexpectedStatus"),
    *("Refused", "Problem", "OperatorError", "DatabaseConflict", "NotAtHand", "Destroyed"),
    *("HttpFailedError", "NotHttpError", "DomainError", "InputError"),
}


@cache
def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            name = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path, *, only_at_run_time: bool = False) -> frozenset[str]:
    names: set[str] = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node: ast.If) -> None:
            typing_only = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            if not (typing_only and only_at_run_time):
                self.generic_visit(node)

        def visit_Import(self, node: ast.Import) -> None:
            names.update(alias.name for alias in node.names)

        def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
            if node.module is None:
                return
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)

    Visitor().visit(tree_of(path))
    return frozenset(names)


def test_packages_import_only_to_their_left() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules().items()
        for imported in imports(path)
        if imported.split(".")[0] in PACKAGES
        and imported.split(".")[0] not in MAY_IMPORT[name.split(".")[0]]
        and name not in PROCESSES
    ]
    assert wrong == []


def test_social_security_takes_only_its_domain_and_how_texts_are_read_from_schemas() -> None:
    allowed = ("schemas.domains", "schemas.jsontext", "schemas.numbers", "schemas.readings")
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules().items()
        if name.startswith("social_security")
        for imported in imports(path)
        if imported.startswith("schemas.") and not imported.startswith(allowed)
    ]
    assert wrong == []


def test_no_module_outside_a_domain_pack_names_one() -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules().items()
        if not name.startswith(("schemas.domains", "social_security"))
        for imported in imports(path)
        if imported.startswith("schemas.domains")
    ]
    assert wrong == []


def test_there_are_no_import_cycles() -> None:
    graph = {
        name: {i for i in imports(path, only_at_run_time=True) if i in modules() and i != name}
        for name, path in modules().items()
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for imported in sorted(graph[name]):
            walk(imported, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        walk(name, ())


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The strongly connected components of more than one module, by reach: small enough a graph to ask directly."""
    reach: dict[str, set[str]] = {}
    for name in graph:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            for target in graph[waiting.pop()] - seen:
                seen.add(target)
                waiting.append(target)
        reach[name] = seen
    return {
        frozenset(other for other in seen if name in reach[other])
        for name, seen in reach.items()
        if name in seen
    }


def test_modules_do_not_reach_each_other_in_a_circle_of_types() -> None:
    graph = {
        name: {i for i in imports(path) if i in modules() and i != name} for name, path in modules().items()
    }
    assert circles(graph) == set()


def room(package: str, name: str) -> str:
    """The folder of a module directly below its package; a module that lies loose there is a room of its own."""
    pieces = name.split(".")
    is_folder = len(pieces) > 2 or (len(pieces) == 2 and modules()[name].name == "__init__.py")
    return pieces[1] if is_folder else f"{package} ({pieces[-1]})"


@pytest.mark.parametrize("package", PACKAGES)
def test_folders_of_a_package_do_not_reach_each_other_in_a_circle(package: str) -> None:
    inside = {name: path for name, path in modules().items() if name.startswith(f"{package}.")}
    arrows: dict[str, set[str]] = {}
    for name, path in inside.items():
        targets = {room(package, i) for i in imports(path, only_at_run_time=True) if i in inside}
        arrows.setdefault(room(package, name), set()).update(targets - {room(package, name)})
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for target in sorted(arrows[name]):
            walk(target, (*trail, name))
        done.add(name)

    for name in sorted(arrows):
        walk(name, ())


@pytest.mark.parametrize("package", ["gateway", "central_server", "serving", "social_security"])
def test_at_most_eight_modules_lie_loose_in_a_package(package: str) -> None:
    loose = sorted(p.name for p in (PROJECT / package).glob("*.py") if p.name != "__init__.py")
    assert len(loose) <= 8, loose


def test_one_class_name_has_one_meaning_in_the_whole_tree() -> None:
    places: dict[str, list[str]] = {}
    for name, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{name}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_exception_classes_are_those_of_the_list_and_documented() -> None:
    classes = {
        node.name: node
        for path in modules().values()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
    }

    def is_exception(name: str) -> bool:
        known = getattr(builtins, name, None)
        if isinstance(known, type):
            return issubclass(known, BaseException)
        bases = classes[name].bases if name in classes else []
        return any(is_exception(base.id) for base in bases if isinstance(base, ast.Name))

    found = {name for name in classes if is_exception(name)}
    assert found == EXCEPTIONS
    assert [n for n in found if len((ast.get_docstring(classes[n]) or "").split()) < 5] == []


# Words that stood for several things and may not come back in identifiers, whole or as a part.
VAGUE_WORDS = {
    "road",
    "roads",
    "desk",
    "asked",
    "told",
    "wanted",
    "telling",
    "came",
    "said",
    "say",
    "saying",
    "heard",
    "held",
    "following",
    "tell",
    "standing",
    "around",
}
# Names of stored columns, of documents that others read, and of the standard library's files.
STORED_NAMES = {"asked_at", "told_id", "held_until", "tell"}
BESIDE_THE_PRODUCT = ("benchmarks", "deploy", "clients")


def identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


def words_of(name: str) -> set[str]:
    """The words of an identifier, in lower case: of ``_AccessRight`` and ``access_right`` the same two."""
    return set(re.findall(r"[a-z]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()))


def test_vague_and_private_words_are_in_no_identifier() -> None:
    others = {
        str(path.relative_to(PROJECT)): path
        for folder in BESIDE_THE_PRODUCT
        for path in (PROJECT / folder).rglob("*.py")
    }
    found = {
        f"{module}: {name}"
        for module, path in (modules() | others).items()
        for name in identifiers(tree_of(path))
        if name not in STORED_NAMES and words_of(name) & VAGUE_WORDS
    }
    assert found == set()


def public_docstrings(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, str]]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        if (text := ast.get_docstring(node)) is not None:
            yield f"{owner}.{node.name}", text
        if isinstance(node, ast.ClassDef):
            yield from public_docstrings(node.body, f"{owner}.{node.name}")


@pytest.mark.parametrize("package", PACKAGES)
def test_public_docstrings_are_sentences_and_no_riddles(package: str) -> None:
    short = [
        f"{name}: {text}"
        for module, path in modules().items()
        if module.split(".")[0] == package
        for name, text in public_docstrings(tree_of(path).body, module)
        if text.startswith(("What ", "How ", "Where ")) or len(text.split()) < 5
    ]
    assert short == []


# What may stand in SQL beside constants: parts that the module itself makes of its own names, and calls so; never a value.
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|BEGIN IMMEDIATE)\b")
SQL_PARTS = {
    "table",
    "column",
    "columns",
    "keys",
    "into",
    "marks",
    "where",
    "clause",
    "received",
    "sql",
    "number",
}
SQL_PARTS |= {"table.name", "self.name", "self._marks_table", "self._join"}
SQL_PARTS |= {"name", "database.name"}  # of settings and databases, in what is said to an operator
SQL_CONSTANT = re.compile(r"(\w+\.)*_?[A-Z][A-Z_0-9]*|', '\.join\(.*\)|'\?, ' \* len\(value\)")


# Raised for whoever wrote the code, not for whoever calls it, or said by a library's own contract.
NOT_SAID = {"NotImplementedError", "AssertionError", "RuntimeError", "SystemExit", "StopAsyncIteration"}


def raised_by(node: ast.AST, caught: frozenset[str] = frozenset()) -> Iterator[str]:
    """The classes that a function raises by name and does not catch itself; nested functions speak for themselves."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        name = ast.unparse(node.exc.func)
        faults = {"Fault"} if name in ("BadMessage", "NotProved", "TokenFailed", "PeerFault") else set()
        if name[:1].isupper() and not ({name, "Exception"} | faults) & caught:
            yield name
    if isinstance(node, ast.Try):
        handled = {ast.unparse(e) for h in node.handlers if h.type for e in getattr(h.type, "elts", [h.type])}
        for statement in node.body:
            yield from raised_by(statement, caught | handled)
        for after in (*node.handlers, *node.orelse, *node.finalbody):
            yield from raised_by(after, caught)
        return
    for inner in ast.iter_child_nodes(node):
        yield from raised_by(inner, caught)


def test_public_functions_say_what_they_raise() -> None:
    silent = []
    for module, path in modules().items():
        if ".cli." in module or ".commands." in module:  # an error ends a command with its text
            continue
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
                continue
            text = ast.get_docstring(node)
            raised = {name for inner in node.body for name in raised_by(inner)} - NOT_SAID
            if text is not None and raised and not re.search("[Rr]aise|[Rr]efuse|Error", text):
                silent.append(f"{module}:{node.lineno} {node.name} raises {', '.join(sorted(raised))}")
    assert silent == []


def test_sql_is_put_together_of_constants_and_of_parts_that_are_called_so() -> None:
    found = set()
    for module, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.JoinedStr):
                continue
            pieces = [v.value for v in node.values if isinstance(v, ast.Constant)]
            if not SQL.search("".join(map(str, pieces))):
                continue
            parts = {ast.unparse(v.value) for v in node.values if isinstance(v, ast.FormattedValue)}
            found |= {f"{module}: {p}" for p in parts - SQL_PARTS if not SQL_CONSTANT.fullmatch(p)}
    assert found == set()


MOST_LINES = 500


def test_no_module_has_more_than_five_hundred_lines() -> None:
    files = dict(modules())
    files |= {p.relative_to(PROJECT).as_posix(): p for p in (PROJECT / "benchmarks").rglob("*.py")}
    long = {m: n for m, p in files.items() if (n := len(p.read_text("utf-8").split("\n")) - 1) > MOST_LINES}
    assert long == {}


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body, without its docstring and the functions within it."""
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    inner: set[int] = set()
    for node in ast.walk(function):
        if isinstance(node, FUNCTIONS) and node is not function:
            begin = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            inner |= set(range(begin, (node.end_lineno or begin) + 1))
    return len(set(range(first.lineno, (function.end_lineno or first.lineno) + 1)) - inner)


def test_no_function_has_more_than_fifty_lines_of_its_own() -> None:
    long = {
        f"{module}: {node.name}": own_lines(node)
        for module, path in modules().items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, FUNCTIONS) and own_lines(node) > 50
    }
    assert long == {}


def test_no_argument_is_deleted_to_say_that_it_is_not_used() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module, path in modules().items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Delete) and all(isinstance(target, ast.Name) for target in node.targets)
    ]
    assert found == []


def test_no_line_is_excused_from_the_linter_or_from_types_without_a_reason_of_its_kind() -> None:
    """Rules are changed in pyproject.toml, with the reason; a line that types cannot follow names the kind of error."""
    mark, ignored = "no" + "qa", re.compile(r"#\s*type:\s*ignore(?!\[)")
    found = []
    for folder in (*PACKAGES, "benchmarks", "clients", "deploy", "tests"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            text = path.read_text("utf-8")
            found += [f"{path}: {mark}"] * (mark in text) + ignored.findall(text)
    assert found == []


# Modules beside the entrance that name a JSON library, and why.
JSON_ELSEWHERE = {
    "schemas.jsontext": "the entrance",
    "serving.api.openapi": "describes types as JSON Schema; reads and writes no text",
}


def names_a_json_library(path: Path) -> bool:
    """Whether a module imports json, or uses the JSON side of msgspec."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import) and any(a.name in ("json", "msgspec.json") for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module in ("json", "json.decoder", "msgspec.json"):
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "msgspec.json":
            return True
    return False


def test_json_is_read_and_written_in_one_place() -> None:
    found = {m for m, path in modules().items() if names_a_json_library(path)}
    assert found == set(JSON_ELSEWHERE)


# Names of distributions whose modules are called otherwise.
IMPORTED_AS = {
    "argon2-cffi": "argon2",
    "pyopenssl": "OpenSSL",
    "pyyaml": "yaml",
    "python-pkcs11": "pkcs11",
    "SQLAlchemy": "sqlalchemy",
    "fpdf2": "fpdf",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter",
}


def imported_by_name(path: Path) -> Iterator[str]:
    """The modules that a module imports by ``importlib.import_module("name")``: an extra that may not be installed."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (
                a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )


# Of the system or of this package, or with an except clause that names the file.
TEXTS_READ_ELSEWHERE = {
    *("gateway.monitoring.processes", "gateway.monitoring.environment", "gateway.monitoring.memory"),
    *("serving.process.load", "serving.config.presets", "serving.language"),
    *("central_server.cli.status", "certs.edges.profilefiles"),
    *("social_security.clock", "social_security.domain.pack"),
    *("social_security.wire.wsdl", "social_security.wire.soapface"),
}


def test_text_files_of_an_operator_are_read_in_one_place_that_names_them() -> None:
    found = {
        module
        for module, path in modules().items()
        if not module.startswith("certs.dev")
        and any(isinstance(n, ast.Attribute) and n.attr == "read_text" for n in ast.walk(tree_of(path)))
    }
    assert found == TEXTS_READ_ELSEWHERE


# Of a connection that was refused libpq keeps no code, its words are all there is; a KeyError's is a name or a sentence of ours.
ERRORS_BY_THEIR_WORDS = {
    ("serving/storage/postgres.py", "_guessed_state"),
    ("serving/cli/commands.py", "_text"),
}
OF_AN_ERROR = re.compile(r"\b(?:str|repr)\(|\.(?:args|detail|strerror|msg)\b")
TEXT_SEARCHES = frozenset(
    {"startswith", "endswith", "find", "rfind", "index", "count", "search", "match", "fullmatch"}
)


def texts_of_errors(function: ast.AST) -> tuple[set[str], set[str]]:
    """The names in a function that hold an error, and those that hold its text or something made of it."""
    errors = {h.name for h in ast.walk(function) if isinstance(h, ast.ExceptHandler) and h.name}
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        given = (*function.args.args, *function.args.kwonlyargs)
        errors |= {a.arg for a in given if a.arg in ("err", "error", "fault")}
    texts: set[str] = set()
    assignments = [node for node in ast.walk(function) if errors and isinstance(node, ast.Assign)]
    for _ in range(2):  # a text, and what is made of it
        for made in assignments:
            if is_text_of_an_error(made.value, errors, texts):
                texts |= {
                    n.id for target in made.targets for n in ast.walk(target) if isinstance(n, ast.Name)
                }
    return errors, texts


def is_text_of_an_error(expression: ast.AST, errors: set[str], texts: set[str]) -> bool:
    for part in ast.walk(expression):
        match part:
            case ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=name)]) if name in errors:
                return True
            case ast.Attribute(value=ast.Name(id=name), attr="args" | "detail" | "strerror" | "msg") if (
                name in errors
            ):
                return True
            case ast.Name(id=name) if name in texts:
                return True
    return False


def test_no_decision_is_taken_by_the_words_of_an_error() -> None:
    found = set()
    for path in modules().values():
        lines = path.read_text(encoding="utf-8").splitlines()
        functions = (
            n for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        for function in functions:
            if OF_AN_ERROR.search("\n".join(lines[function.lineno : function.end_lineno])):
                errors, texts = texts_of_errors(function)
                if errors and any(searches(part, errors, texts) for part in ast.walk(function)):
                    found.add((str(path.relative_to(PROJECT)), function.name))
    assert found == ERRORS_BY_THEIR_WORDS, "classes, codes and numbers say what failed; words change"


def searches(part: ast.AST, errors: set[str], texts: set[str]) -> bool:
    """Whether a piece of a function looks for words in an error's text."""
    match part:
        case ast.Compare(ops=[ast.In() | ast.NotIn()], comparators=[where]):
            return is_text_of_an_error(where, errors, texts)
        case ast.Call(func=ast.Attribute(value=searched, attr=verb), args=given) if verb in TEXT_SEARCHES:
            return any(is_text_of_an_error(e, errors, texts) for e in (searched, *given))
    return False


def test_every_runtime_dependency_and_extra_is_imported_by_the_product() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *(d for name, ds in extras.items() if name != "dev" for d in ds)]
    names = [re.split(r"[\[<>=~! ]", d)[0] for d in required]
    imported = {i for path in modules().values() for i in imports(path)}
    imported |= {name for path in modules().values() for name in imported_by_name(path)}
    imported |= {i for path in (PROJECT / "benchmarks").glob("*.py") for i in imports(path)}
    missing = [
        name
        for name in names
        if not any(f"{i}.".startswith(f"{IMPORTED_AS.get(name, name.replace('-', '_'))}.") for i in imported)
    ]
    assert missing == []


@pytest.mark.parametrize("place", PURE)
def test_pure_modules_touch_nothing_outside(place: str) -> None:
    wrong = []
    for name, path in modules().items():
        relative = path.relative_to(PROJECT).as_posix()
        if not relative.startswith(place) or relative.startswith(NOT_PURE):
            continue
        wrong += [
            f"{name} imports {imported}"
            for imported in imports(path, only_at_run_time=True)
            if imported.split(".")[0] in IMPURE
        ]
    assert wrong == []


# Calls after which something else is on the disk than before; where they stand, it is said what that is and what a crash leaves.
DURABLE = re.compile(
    r"\b(write_whole|os\.fsync|os\.link|os\.replace|shutil\.rmtree|sync_folder)\(|\.(hardlink_to|rename|unlink|rmdir)\((?!request)|"
    r"execute\(\"COMMIT\"\)"
)
SAID = re.compile(
    r"crash|on (the )?disk|power cut|restart|next start|whole|in force|gone|leaves", re.IGNORECASE
)
# What a command writes where its caller says is the caller's; development's files are nobody's.
NOT_DURABLE = (".cli.", "certs.dev", "social_security.commands", "gateway.http")


def test_durable_steps_say_what_is_on_the_disk_and_what_a_crash_leaves() -> None:
    silent = []
    for module, path in modules().items():
        if any(part in f"{module}." for part in NOT_DURABLE):
            continue
        lines = path.read_text("utf-8").split("\n")
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = lines[node.lineno - 1 : node.end_lineno]
            if any(DURABLE.search(line.partition("#")[0]) for line in body):
                comments = " ".join(line.partition("#")[2] for line in body)
                if not SAID.search(f"{comments} {ast.get_docstring(node) or ''}"):
                    silent.append(f"{module}:{node.lineno} {node.name}")
    assert silent == []


# What a module keeps beside its functions and changes while it runs, each with the reason why no object owns it.
CHANGING_GLOBALS = {
    "certs.configuration._generations": "numbers that no two configurations of a process share",
    "certs.remotetls._kept": "what OpenSSL calls back must outlive every context, whoever made it",
    "certs.tls._shown": "a fact of each connection, forgotten with the connection",
    "gateway.audit.judging._ThisProcess": "what a worker of a pool was given before its first unit",
    "serving.cli.helptexts._ENGLISH": "the English of commands, which are values of modules themselves",
    "serving.cli.helptexts._LANGUAGE_OF": "the language of commands, which are values of modules themselves",
    "serving.process.binding._GIVEN": "sockets that this process inherited",
    "serving.process.binding._SHARED": "sockets that this process inherited",
    "serving.storage.postgres._BEGUN": "databases that this process has worked with before a newer version came",
    "serving.storage.postgres._WORKS_BY": "the lease that the task at hand works by",
}
CHANGING_METHODS = {
    *("append", "add", "setdefault", "update", "pop", "clear", "extend", "insert", "remove", "discard"),
    *("popitem", "appendleft", "set"),
}
CHANGING_KINDS = {
    "count",
    "itertools.count",
    "ContextVar",
    "WeakKeyDictionary",
    "WeakValueDictionary",
    "deque",
}


def changing_globals(tree: ast.Module) -> Iterator[str]:
    """The names of a module that something in it changes, or that are made to be changed."""
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, value in values.items():
        if isinstance(value, ast.Call) and ast.unparse(value.func).removeprefix("weakref.") in CHANGING_KINDS:
            yield name
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
                    if name in values and method in CHANGING_METHODS:
                        yield name
                case ast.Subscript(value=ast.Name(id=name), ctx=ast.Store() | ast.Del()) if name in values:
                    yield name
                case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()) if name in classes:
                    yield name
                case ast.Global(names=names):
                    yield from names


def test_nothing_that_changes_is_kept_by_a_module_but_what_is_of_the_process() -> None:
    found = {
        f"{module}.{name}" for module, path in modules().items() for name in changing_globals(tree_of(path))
    }
    assert found == set(CHANGING_GLOBALS)
