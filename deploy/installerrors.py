"""What an installation may be refused with, and what to do: made of the refusals that stand in the modules that make and start servers.

Each module's messages are read from its source, so a new one without a row here fails a test, and so does a row whose message is gone.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from serving.language import Text

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A module, when it speaks, and for each beginning of a message what to do, in English and Spanish."""

    module: str
    en: str
    es: str
    remedies: dict[str, tuple[str, str]]


_ANCHOR = (
    "fetch the anchor from the central operator again and compare its hash",
    "pida otra vez el ancla al operador central y compare su resumen",
)
_TYPE_ID = ("write it as CLASS/CODE/SERVER", "escríbalo como CLASE/CLAVE/SERVIDOR")
_PIN = (
    "give --pin-file, or SACBE_PIN; the first run makes the file",
    "dé --pin-file o SACBE_PIN; la primera vez se crea el archivo",
)
_DATABASE = (
    "see what the message adds: rights, room on the disk, another process, or a damaged file",
    "vea lo que añade el mensaje: permisos, espacio en disco, otro proceso, o un archivo dañado",
)

CHAPTERS = (
    Chapter("gateway/cli/init.py", "gateway init", "gateway init", {
        "{where} is no anchor": _ANCHOR,
        "{text!r} is not class/code/server": _TYPE_ID,
        "{option} is missing": ("give the option, or answer when asked", "dé la opción, o responda cuando se pregunte"),
        "{file} is not there": ("name the file of the PIN that the token has; without it make the folder anew", "nombre el archivo del PIN que ya tiene el token; sin él haga la carpeta de nuevo"),
        "--pin-file is missing": _PIN,
    }),
    Chapter("gateway/cli/bootstrap.py", "gateway init, key and request", "gateway init, llave y solicitud", {
        "the anchor is of instance": ("the server's identifier and the anchor must be of one instance: correct either", "el identificador del servidor y el ancla deben ser de una misma instancia: corrija uno"),
        "{data} works by another anchor": ("compare both hashes with the central operator, then run the command that is named", "compare ambos resúmenes con el operador central, luego corra la orden que se nombra"),
        "{data} holds a gateway already": ("another --data, or go on with the server that is there", "otro --data, o siga con el servidor que está ahí"),
        "say which CA with --ca": ("name one of those listed", "nombre una de las que se listan"),
    }),
    Chapter("central_server/cli/bootstrap.py", "central-server bootstrap", "central-server bootstrap", {
        "--owner {owner!r}": ("write it as CLASS/CODE", "escríbalo como CLASE/CLAVE"),
        "--address {address!r}": ("a name or an IP by which every gateway reaches this server", "un nombre o IP por el que toda pasarela alcanza este servidor"),
        "the anchor could not be made": ("the signing keys are missing: run bootstrap again", "faltan las llaves de firma: corra bootstrap otra vez"),
        "the settings do not name {PINNED}": ("add the line to the settings, and start the server again", "añada la línea a los ajustes, y reinicie el servidor"),
        "the management services are of": ("the management gateway's owner must be the member that provides the management services", "el dueño de la pasarela de administración debe ser el miembro que da esos servicios"),
        "the certificate is not a valid one": ("have the authentication request certified by a CA of the registry", "haga certificar la solicitud de autenticación por una CA del registro"),
        "another server is registered": ("make another authentication key and certificate", "haga otra llave y certificado de autenticación"),
        "{text!r} is not class/code/server": _TYPE_ID,
    }),
    Chapter("serving/cli/serverfolder.py", "every command", "todo mandato", {
        "there is no server in {folder}": ("correct --data, or make a server first", "corrija --data, o haga antes un servidor"),
    }),
    Chapter("serving/storage/datafolder.py", "start", "arranque", {
        "there is no server in": ("correct --data, or make a server first", "corrija --data, o haga antes un servidor"),
        "{folder} cannot be written by user": ("chown the folder to the server's user (sacbe, 10001 in the image)", "chown de la carpeta al usuario del servidor (sacbe, 10001 en la imagen)"),
        "another process works on": ("stop the other process; two never work on one folder", "pare el otro proceso; nunca trabajan dos en una carpeta"),
        "{journal}, the journal of a restore": ("see which folder is whole, put it in place, remove the journal", "vea qué carpeta está entera, póngala en su lugar, quite el diario"),
    }),
    Chapter("serving/databaseversions.py", "start after an upgrade or a downgrade", "arranque tras actualizar o volver atrás", {
        "{where} was written by a newer version": ("install the newer version again, or restore a backup of this one", "instale otra vez la versión nueva, o restaure un respaldo de ésta"),
        "{where} holds something else": ("name the right database or an empty one, or restore a backup", "nombre la base correcta o una vacía, o restaure un respaldo"),
    }),
    Chapter("serving/storage/database.py", "start, SQLite", "arranque, SQLite", {
        "{path} must be changed for this version": ("make room on the disk and start again; nothing was changed", "haga espacio en el disco y arranque otra vez; no se cambió nada"),
    }),
    Chapter("serving/storage/damage.py", "start, SQLite", "arranque, SQLite", {
        "{place}: {damage}; {remedy}": _DATABASE,
    }),
    Chapter("serving/storage/postgres.py", "start, PostgreSQL", "arranque, PostgreSQL", {
        "the database {database} is of encoding": ("create it with encoding UTF8 and template template0", "créela con codificación UTF8 y plantilla template0"),
        "the database {database} is of PostgreSQL": ("upgrade the database server", "actualice el servidor de base de datos"),
        "the database {database} has {name} = off": ("switch it on: without it a crash may lose evidence", "enciéndalo: sin eso una caída puede perder evidencia"),
        "the database's address cannot be read": ("write postgresql://user@host:5432/database", "escriba postgresql://usuario@host:5432/base"),
        "the database {} cannot be used": ("the message says why: rights, password, no such database, no connection", "el mensaje dice por qué: permisos, contraseña, no hay tal base, no hay conexión"),
    }),
    Chapter("serving/storage/nodes.py", "start of a node", "arranque de un nodo", {
        "this data folder is of the server": ("name the right database, or begin in another folder", "nombre la base correcta, o empiece en otra carpeta"),
        "the nodes {names} work on the database": ("stop them, or wait for the seconds that the message says", "párelos, o espere los segundos que dice el mensaje"),
        "the server was moved away from": ("take node.database out, or name an empty database", "quite node.database, o nombre una base vacía"),
    }),
    Chapter("serving/process/binding.py", "start, ports", "arranque, puertos", {
        "cannot listen at": ("choose another port or address, stop who listens there, or give CAP_NET_BIND_SERVICE", "elija otro puerto o dirección, pare a quien escucha ahí, o dé CAP_NET_BIND_SERVICE"),
    }),
    Chapter("serving/config/settings.py", "start, settings", "arranque, ajustes", {
        "the environment variable {name} names no setting": ("mend the name: SACBE_GATEWAY_SECTION_NAME", "corrija el nombre: SACBE_GATEWAY_SECCION_NOMBRE"),
        "the settings file {path} cannot be read": ("the file is missing, not readable, or not TOML", "el archivo falta, no se puede leer, o no es TOML"),
        "a setting is wrong": ("the message names the setting and what it takes", "el mensaje nombra el ajuste y lo que toma"),
    }),
    Chapter("serving/config/textfiles.py", "every file that a person writes", "todo archivo que escribe una persona", {
        "{file} has more than": ("name the right file", "nombre el archivo correcto"),
        "the number at {place} is none that can be kept": ("write a number of 64 bits at the most", "escriba un número de 64 bits como máximo"),
        "{file} is not TOML": ("the message says the line; mend it", "el mensaje dice la línea; corríjala"),
        "{file}, line {line}: the text is not UTF-8": ("save it as UTF-8", "guárdelo como UTF-8"),
    }),
    Chapter("serving/config/presets.py", "start, settings", "arranque, ajustes", {
        "there is no preset": ("name one of those listed", "nombre uno de los que se listan"),
    }),
    Chapter("serving/config/secret.py", "start, secrets", "arranque, secretos", {
        "the secret file {path} can be read by others": ("chmod 600", "chmod 600"),
        "{where} holds no secret": ("write the secret into its first line", "escriba el secreto en su primera línea"),
        "a secret comes from exactly one": ("name a file, or a variable, or a command", "nombre un archivo, o una variable, o un mandato"),
        "the secret file {file} cannot be read": ("see that it is there, and whose it is", "vea que esté y de quién es"),
        "the command {command} gave no secret": ("run it by hand as the server's user", "córralo a mano como el usuario del servidor"),
    }),
    Chapter("serving/storage/keysafe.py", "start, keys of listeners and backups", "arranque, llaves de puertos y respaldos", {
        "{path} is sealed by": ("the file is another version's: restore it", "el archivo es de otra versión: restáurelo"),
        "the key {path} does not open": ("put the earlier secret into seal.previous, or remove the file and a new key is made", "ponga el secreto anterior en seal.previous, o quite el archivo y se hace otra llave"),
        "a secret that seals keys": ("a longer one", "uno más largo"),
        "the key {path} cannot be sealed": ("give the PIN, or seal.secret", "dé el PIN, o seal.secret"),
        "the key {path} is sealed by": ("log in to the token, or give seal.secret", "entre en el token, o dé seal.secret"),
        "{path} is no sealed key": ("restore it from a backup, or remove it: a new one is made", "restáurelo de un respaldo, o quítelo: se hace otra"),
    }),
)  # fmt: skip

# What the modules raise for the programmer, and what only happens later than an installation.
ELSEWHERE = {
    "serving/storage/database.py": ("the table {} is missing", "the database is not whole", "the file is empty", "the database is closed"),
    "serving/storage/postgres.py": ("the lease of {}", "the change was overtaken"),
}  # fmt: skip


def messages(module: str) -> list[str]:
    """Every message that a module raises, what is filled in written as ``{}`` where it has no name."""
    tree = ast.parse((PROJECT / module).read_text(encoding="utf-8"))
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    # Sentences that are put together before they are raised.
    raised += [n.value for n in ast.walk(tree) if isinstance(n, ast.Assign | ast.Return) and _speaks(n.value)]
    found = [text for one in raised if isinstance(one, ast.Call) and (text := _first_text(one))]
    found += [text for one in raised if not isinstance(one, ast.Call) and one and (text := _text(one))]
    return sorted({text for text in found if " " in text})


def _speaks(node: ast.expr | None) -> bool:
    """Whether a value is a sentence that names what failed, or an exception with one."""
    if isinstance(node, ast.JoinedStr):
        return _text(node).startswith(("cannot listen at", "the database {} cannot be used"))
    return isinstance(node, ast.Call) and _first_text(node).startswith("the database {} cannot be used")


def _first_text(call: ast.Call) -> str:
    for argument in call.args:
        if (
            isinstance(argument, ast.Call)
            and isinstance(argument.func, ast.Name)
            and argument.func.id in {"_", "N_"}
        ):
            return _text(argument.args[0])
        if text := _text(argument):
            return text
    return ""


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
    return ""


def render_install_errors(language: str) -> str:
    """The table of a language: when, what is said, what to do."""
    head = {"en": ("when", "what is said", "what to do"), "es": ("cuándo", "qué se dice", "qué hacer")}[
        language
    ]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|"]
    for chapter in CHAPTERS:
        for message in messages(chapter.module):
            remedy = next((r for begins, r in chapter.remedies.items() if message.startswith(begins)), None)
            if remedy is None:
                continue
            text = Text(message).into(language).replace("|", "\\|").replace("\n", " ")
            when, do = (chapter.es, remedy[1]) if language == "es" else (chapter.en, remedy[0])
            lines.append(f"| {when} | `{text}` | {do} |")
    return "\n".join(lines) + "\n"
