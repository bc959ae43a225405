"""``python -m deploy.pictures``: the pictures of the documentation, drawn from the tables below, one file a language.

A picture is boxes on a grid and arrows between them. A test says when a file is behind its table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
LANGUAGES = ("en", "es")
COLUMN, ROW, WIDTH, HEIGHT, MARGIN, LINE = 250, 130, 170, 70, 20, 16
FILLS = {"ours": "#dcebf7", "yours": "#e7f3e4", "other": "#f4ecd8", "proof": "#f1e4f0"}


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its column and row on the grid, what it stands for, and its words in English and Spanish."""

    column: float
    row: float
    fill: str
    words: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from a box to a box, by their names, with its words; ``at`` is where along it they stand, 0 to 1."""

    start: str
    end: str
    words: tuple[str, str] = ("", "")
    at: float = 0.5


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing: what it shows, its boxes by name, its arrows."""

    title: tuple[str, str]
    boxes: dict[str, Box]
    arrows: tuple[Arrow, ...]


MESSAGE_WAY = Drawing(
    ("A message's way between two institutes", "El camino de un mensaje entre dos institutos"),
    {
        "system": Box(0, 1, "yours", ("your system", "su sistema")),
        "consumer": Box(1, 1, "ours", ("gateway\nsigns, logs,\ntimestamps", "pasarela\nfirma, registra,\nsella el tiempo")),
        "provider": Box(2, 1, "ours", ("gateway\nverifies, decides,\nlogs, signs", "pasarela\nverifica, decide,\nregistra, firma")),
        "service": Box(3, 1, "yours", ("service", "servicio")),
        "central": Box(1.5, 0, "ours", ("central server\nwho belongs", "servidor central\nquién pertenece")),
        "ca": Box(1, 2, "other", ("certification\nauthority (OCSP)", "autoridad\ncertificadora (OCSP)")),
        "tsa": Box(2, 2, "other", ("timestamping\nauthority", "autoridad de\nsellado de tiempo")),
    },
    (
        Arrow("system", "consumer", ("HTTP(S)", "HTTP(S)")),
        Arrow("consumer", "provider", ("mutual TLS", "TLS mutuo")),
        Arrow("provider", "service", ("HTTP(S)", "HTTP(S)")),
        Arrow("central", "consumer", ("configuration", "configuración")),
        Arrow("central", "provider"),
        Arrow("consumer", "ca"), Arrow("consumer", "tsa"), Arrow("provider", "tsa"), Arrow("provider", "ca"),
    ),
)  # fmt: skip
PORTS = Drawing(
    ("Who opens a connection to whom, and at which port", "Quién abre una conexión a quién, y en qué puerto"),
    {
        "systems": Box(0, 0, "yours", ("your systems", "sus sistemas")),
        "admin": Box(0, 1, "yours", ("administrators,\nmonitoring", "administradores,\nvigilancia")),
        "gateway": Box(1.2, 0.5, "ours", ("your gateway", "su pasarela")),
        "others": Box(2.6, 0, "other", ("other gateways", "otras pasarelas")),
        "central": Box(2.6, 1, "ours", ("central server", "servidor central")),
        "authorities": Box(1.2, 1.7, "other", ("OCSP, timestamps,\nACME", "OCSP, sellos de\ntiempo, ACME")),
        "services": Box(0, 2, "yours", ("your services", "sus servicios")),
    },
    (
        Arrow("systems", "gateway", ("8080, 8443", "8080, 8443")),
        Arrow("admin", "gateway", ("4000, 5588", "4000, 5588")),
        Arrow("others", "gateway", ("both ways: 5500, 5577", "ida y vuelta: 5500, 5577")),
        Arrow("gateway", "central", ("80, 443, 4001, 4002", "80, 443, 4001, 4002")),
        Arrow("gateway", "authorities", ("as they say", "según digan")),
        Arrow("gateway", "services", ("as they say", "según digan"), 0.7),
    ),
)  # fmt: skip
FOUNDING = Drawing(
    ("From nothing to the first message: who gives what to whom", "De nada al primer mensaje: quién da qué a quién"),
    {
        "authorities": Box(0, 0, "other", ("1\nauthorities", "1\nautoridades")),
        "central": Box(1.3, 0, "ours", ("2, 3, 7\ncentral server", "2, 3, 7\nservidor central")),
        "gateway": Box(0.65, 1.3, "ours", ("4, 5, 6, 8\nfirst gateway", "4, 5, 6, 8\nprimera pasarela")),
        "message": Box(2.2, 1.3, "proof", ("9\nfirst signed,\nlogged message", "9\nprimer mensaje\nfirmado y registrado")),
    },
    (
        Arrow("authorities", "central", ("registry.toml", "registry.toml")),
        Arrow("authorities", "gateway", ("5: certificates", "5: certificados")),
        Arrow("central", "gateway", ("anchor.xml; 7: registered", "anchor.xml; 7: inscrita")),
        Arrow("gateway", "message"),
    ),
)  # fmt: skip
PROOF = Drawing(
    ("What proves a message", "Qué prueba un mensaje"),
    {
        "message": Box(0, 0, "yours", ("message\nbody, headers", "mensaje\ncuerpo, encabezados")),
        "signature": Box(1.1, 0, "proof", ("signature\nXAdES, hash chain", "firma\nXAdES, cadena de hash")),
        "stamp": Box(2.2, 0, "proof", ("timestamp\nRFC 3161", "sello de tiempo\nRFC 3161")),
        "certificate": Box(1.1, 1, "other", ("certificate, OCSP\nof that moment", "certificado, OCSP\nde ese momento")),
        "configuration": Box(2.2, 1, "ours", ("global configuration\nwho was a member", "configuración global\nquién era miembro")),
        "log": Box(3.3, 0, "proof", ("transparency log\nsigned checkpoints", "bitácora transparente\npuntos firmados")),
        "witness": Box(3.3, 1, "other", ("witnesses", "testigos")),
    },
    (
        Arrow("signature", "message"), Arrow("stamp", "signature"), Arrow("certificate", "signature"),
        Arrow("configuration", "certificate"), Arrow("log", "stamp"), Arrow("witness", "log", ("cosign", "cofirman")),
    ),
)  # fmt: skip
DRAWINGS = {"road": MESSAGE_WAY, "ports": PORTS, "founding": FOUNDING, "proof": PROOF}


def render(picture: Drawing, language: str) -> str:
    """A picture as SVG, in English (``en``) or Spanish (``es``)."""
    which = LANGUAGES.index(language)
    places = {name: _corner(box) for name, box in picture.boxes.items()}
    width = int(max(x for x, _ in places.values()) + WIDTH + MARGIN)
    height = int(max(y for _, y in places.values()) + HEIGHT + MARGIN)
    title = escape(picture.title[which])
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif" font-size="13">',
        f"<title>{title}</title>",
        '<defs><marker id="head" markerWidth="9" markerHeight="7" refX="9" refY="3.5" orient="auto">'
        '<path d="M0,0 L9,3.5 L0,7 z" fill="#444"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for arrow in picture.arrows:
        lines += _draw_arrow(places[arrow.start], places[arrow.end], arrow, arrow.words[which])
    for name, box in picture.boxes.items():
        x, y = places[name]
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{FILLS[box.fill]}" stroke="#444"/>'
        )
        lines += _draw_words(x + WIDTH / 2, y + HEIGHT / 2, box.words[which])
    return "\n".join([*lines, "</svg>"]) + "\n"


def _corner(box: Box) -> tuple[float, float]:
    return MARGIN + box.column * COLUMN, MARGIN + box.row * ROW


def _draw_words(x: float, y: float, words: str) -> list[str]:
    """Lines of words around a middle."""
    parts = words.split("\n")
    top = y - (len(parts) - 1) * LINE / 2 + 4
    return [
        f'<text x="{x:g}" y="{top + LINE * number:g}" text-anchor="middle" fill="#111">{escape(part)}</text>'
        for number, part in enumerate(parts)
    ]


def _draw_arrow(start: tuple[float, float], end: tuple[float, float], arrow: Arrow, words: str) -> list[str]:
    """A line from the edge of one box to the edge of another, its words on a white ground."""
    (x1, y1), (x2, y2) = ((x + WIDTH / 2, y + HEIGHT / 2) for x, y in (start, end))
    out = _to_edge(x2 - x1, y2 - y1)
    x1, y1, x2, y2 = (x1 + out[0], y1 + out[1], x2 - out[0], y2 - out[1])
    line = f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#444" marker-end="url(#head)"/>'
    if not words:
        return [line]
    x, y = x1 + (x2 - x1) * arrow.at, y1 + (y2 - y1) * arrow.at
    half = len(words) * 3.4 + 4
    ground = f'<rect x="{x - half:.0f}" y="{y - 10:.0f}" width="{2 * half:.0f}" height="18" fill="#fff" fill-opacity="0.9"/>'
    return [line, ground, *_draw_words(round(x), round(y), words)]


def _to_edge(dx: float, dy: float) -> tuple[float, float]:
    """From the middle of a box to its edge, in a direction."""
    scale = min(WIDTH / 2 / abs(dx) if dx else float("inf"), HEIGHT / 2 / abs(dy) if dy else float("inf"))
    return dx * scale, dy * scale


def files() -> dict[Path, str]:
    """Every picture's file and what it holds."""
    return {
        FOLDER / f"{name}.{language}.svg": render(picture, language)
        for name, picture in DRAWINGS.items()
        for language in LANGUAGES
    }


def main() -> None:
    """Draw every picture."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
