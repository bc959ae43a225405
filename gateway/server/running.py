"""Where a running gateway is, for the commands of the same machine: ``running.json`` in its data folder.

Whoever can read the data folder can do everything there is to do, so its commands make themselves an API key that lives a
minute. The certificate they compare is the one that file says is shown now.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from certs.edges.tokenfiles import write_whole
from schemas.jsontext import encode_json, load_json
from serving.api.problems import Problem
from serving.config.setting import EVERYWHERE
from serving.language import _
from serving.process.addresses import HEALTH, urls_by_purpose

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from serving.process.addresses import ListenAddress

FILE = "running.json"
KEY_LIVES = timedelta(minutes=10)
TIMEOUT_S = 300
_NO_PROXY = urllib.request.ProxyHandler({})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: JSON as a value, anything else as bytes."""

    status: int
    media_type: str
    content: bytes

    def value(self) -> Any:
        """The JSON of it; None when it is empty."""
        return load_json(self.content) if self.content else None


def note_running(
    folder: Path,
    host: str,
    port: int,
    host_name: str,
    certificates: str,
    addresses: Sequence[ListenAddress] = (),
) -> None:
    """Say where this process listens for administrators, the certificates (PEM) it shows there, and every address."""
    shown = "127.0.0.1" if host in ("", EVERYWHERE) else "[::1]" if host == "::" else host
    shown = f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown
    note: dict[str, Any] = {"pid": os.getpid(), "url": f"https://{shown}:{port}", "host_name": host_name}
    note["certificates"] = certificates
    note["health"] = next((a.local_url for a in addresses if a.purpose == HEALTH and a.port), "")
    note["addresses"] = urls_by_purpose(addresses)
    # A crash leaves the note of a process that is gone: readers look whether its id still runs (`running_note`).
    write_whole(folder / FILE, encode_json(note), mode=0o600)


def note_stopped(folder: Path) -> None:
    """Remove the note that a process runs on the folder; one that a crash leaves is seen through by its process id."""
    (folder / FILE).unlink(missing_ok=True)


class AdminClient:
    """Calls one gateway's admin API."""

    def __init__(self, url: str, key: str, context: ssl.SSLContext | None, host_name: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"X-Road-ApiKey token={key}"}
        if host_name:
            self._headers["Host"] = host_name
        self._opener = urllib.request.build_opener(_NO_PROXY, urllib.request.HTTPSHandler(context=context))

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        media_type: str = "application/json",
    ) -> Reply:
        """One call; ``path`` stands below ``/api/v1``. Raises `Problem`, OSError when nobody answers."""
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        headers = {**self._headers, **({"Content-Type": media_type} if body is not None else {})}
        request = urllib.request.Request(  # the operator's own URL
            f"{self._url}/api/v1{path}{suffix}", data=body, method=method, headers=headers
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                kind = answer.headers.get_content_type()
                return Reply(answer.status, kind, answer.read())
        except urllib.error.HTTPError as err:
            raise _refused(err.code, err.read()) from err
        except urllib.error.URLError as err:
            raise OSError(f"no admin API answers at {self._url}: {err.reason}") from err

    def json(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """One call with JSON in and out."""
        raw = None if body is None else encode_json(body)
        return self.call(method, path, query=query, body=raw).value()


@contextlib.contextmanager
def local_client(data: Path) -> Iterator[AdminClient]:
    """A client of the gateway that runs on a data folder. Raises `ProcessLookupError` when none runs."""
    from gateway.admin.roles import gateway_roles
    from gateway.settings.datafolder import find_folder
    from serving.login.users import Logins

    note = running_note(data)
    logins = Logins(find_folder(data, os.environ).logins)
    expires = datetime.now(UTC) + KEY_LIVES
    roles = gateway_roles()
    made, key = logins.make_api_key(roles.permissions, f"local:{getpass.getuser()}", expires_at=expires)
    try:
        context = ssl.create_default_context(cadata=note["certificates"])
        context.check_hostname = False  # the certificate itself is compared: no other one is trusted
        yield AdminClient(note["url"], key, context, note.get("host_name", ""))
    finally:
        logins.revoke_api_key(made.id)
        logins.close()


def remote_client(url: str, key: str, ca_file: Path | None) -> AdminClient:
    """A client of a gateway elsewhere."""
    return AdminClient(url, key, ssl.create_default_context(cafile=None if ca_file is None else str(ca_file)))


def running_note(data: Path) -> dict[str, Any]:
    """The note of the process that runs on a data folder: its id and addresses. Raises `ProcessLookupError` when none runs."""
    try:
        note: dict[str, Any] = load_json((data / FILE).read_bytes())
        os.kill(int(note["pid"]), 0)
    except (OSError, ValueError, KeyError) as err:
        raise ProcessLookupError(
            _("no gateway runs on {data}; start it: gateway serve --data {data}", data=data)
        ) from err
    return note


def _refused(status: int, body: bytes) -> Problem:
    try:
        values = load_json(body)
        error = values.get("error") or {}
        lines = [*error.get("metadata", ())]
        for name, found in (error.get("validation_errors") or {}).items():
            lines.append(f"{name}: {', '.join(found)}")
        for warning in values.get("warnings") or ():
            lines.append(f"{warning['code']} {' '.join(warning.get('metadata', ()))}".strip())
        if values.get("warnings"):
            lines.append("--ignore-warnings")
        return Problem(status, str(error.get("code", "")) or None, tuple(str(line) for line in lines))
    except (ValueError, AttributeError, KeyError, TypeError):
        return Problem(status, None, (body[:500].decode("utf-8", "replace"),))
