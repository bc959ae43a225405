"""What an administrator must know of a server before it runs, as commented lines of its ``/etc/sacbe/NAME.env``.

The lines are made of the servers' own tables of settings, so that no name, default or range can differ from the program's.
"""

from __future__ import annotations

from central_server.config import TABLE as CENTRAL
from gateway.settings.config import TABLE as GATEWAY
from serving.config.settingtable import shown

GATEWAY_HEAD = """\
# Before "gateway init" you need, as words of that command: your member's class and code and a code for this server
# (--server CLASS/MEMBER/SERVER), the name or address that other gateways reach it by (--address), and the central
# server's anchor with its hash from another channel (--anchor). See /usr/share/doc/sacbe-gateway/install.md.
"""
CENTRAL_HEAD = """\
# Before "central-server bootstrap" you need, as words of that command: the instance's code (--instance), the name that every
# gateway reaches this server by (--address), who operates it (--owner, --name), and a file with the certificates and
# addresses of the CAs and timestamping authorities (--trust). See /usr/share/doc/sacbe-central/install.md.
"""
QUESTIONS = {
    "gateway": (
        GATEWAY_HEAD,
        "SACBE_GATEWAY",
        GATEWAY,
        (
            "listen.consumer_host",
            "listen.health_host",
            "admin.host",
            "monitoring.metrics_from",
            "notices.recipients",
            "notices.smtp_host",
            "logging.audit_syslog",
        ),
    ),
    "central": (
        CENTRAL_HEAD,
        "SACBE_CENTRAL",
        CENTRAL,
        ("listen.host", "admin.host", "listen.metrics_from", "notices.smtp_host", "logging.audit_syslog"),
    ),
}


def render_questions(folder: str) -> str:
    """The lines of a server, by the name of its data folder; empty for one that asks nothing."""
    if folder not in QUESTIONS:
        return ""
    head, prefix, table, names = QUESTIONS[folder]
    lines = [head.rstrip("\n")]
    for name in names:
        variable = f"{prefix}_{name.replace('.', '_').upper()}"
        lines.append(f"# {table.settings[name].help} Takes: {table.expected(name)}.")
        lines.append(f"#{variable}={shown(table.defaults[name])}")
    return "\n".join(lines) + "\n"
