"""What an administrator can change, as lines, and how two states differ: for the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.desired.file import compare
from gateway.keys.store import KeyConfStore

if TYPE_CHECKING:
    from gateway.clients.model import ServerConf
    from gateway.clients.store import ServerConfStore


class ConfigurationState(msgspec.Struct, frozen=True):
    """A server's configuration at one moment; ``conf`` is None before it is initialised."""

    conf: ServerConf | None
    lines: frozenset[str]


def state_of(store: ServerConfStore) -> ConfigurationState:
    """The state of the configuration database now, as lines that can be compared."""
    settings = store.database.query("SELECT name, value FROM setting")
    lines = {f"setting {name} set to {value}" for name, value in settings}
    if not store.is_initialised():
        return ConfigurationState(None, frozenset(lines))
    keys = KeyConfStore(store.database)
    lines |= {f"key {k.id} {k.kind} {k.usage or 'unused'} {k.name}" for k in keys.list_keys()}
    lines |= {f"signing request {r.id} for key {r.key_id}" for r in keys.requests()}
    for certificate in keys.certificates():
        state = "active" if certificate.active else "inactive"
        lines.add(f"certificate {certificate.hash} {certificate.usage} {certificate.status} {state}")
    lines |= {f"request {r.kind} {r.subject} {r.detail}" for r in store.view.requests.all()}
    lines |= {f"timestamping {t.name} {t.url}" for t in store.view.timestamping.all()}
    lines |= {f"group text {g.owner.path()} {g.code}: {g.description}" for g in store.view.groups.all()}
    return ConfigurationState(store.load(), frozenset(lines))


def difference(before: ConfigurationState, after: ConfigurationState) -> list[str]:
    """The changes from one state to another, a line each, ``+`` added and ``-`` removed."""
    changes = [f"- {line}" for line in sorted(before.lines - after.lines)]
    changes += [f"+ {line}" for line in sorted(after.lines - before.lines)]
    if before.conf is not None and after.conf is not None:
        changes += compare(before.conf, after.conf)
    return changes
