"""LDAP directories for tests: a real slapd where there is one, and a server that answers what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from serving.storage.selfsigned import self_signed
from tests.integration.calling import until
from tests.ports import free_port
from tests.programs import lack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

HOST = "127.0.0.1"
BASE = "dc=example,dc=org"
SERVICE, SERVICE_PASSWORD = f"cn=service,{BASE}", "the service's own"
OPERATORS, READERS = f"cn=operators,ou=groups,{BASE}", f"cn=readers,ou=groups,{BASE}"
_LDIF = f"""
dn: {BASE}
objectClass: dcObject
objectClass: organization
o: example

dn: ou=people,{BASE}
objectClass: organizationalUnit

dn: ou=groups,{BASE}
objectClass: organizationalUnit

dn: uid=ana,ou=people,{BASE}
objectClass: inetOrgPerson
cn: Ana
sn: A
userPassword: ana's password

dn: uid=josé,ou=people,{BASE}
objectClass: inetOrgPerson
cn: José
sn: J
userPassword: contraseña

dn: uid=nobody,ou=people,{BASE}
objectClass: inetOrgPerson
cn: In no group
sn: N
userPassword: nobody's password

dn: cn=twin,ou=people,{BASE}
objectClass: inetOrgPerson
sn: T
uid: twin
uid: other
userPassword: twin's password

dn: cn=second twin,ou=people,{BASE}
objectClass: inetOrgPerson
sn: T
uid: twin
userPassword: twin's password

dn: {OPERATORS}
objectClass: groupOfNames
member: uid=ana,ou=people,{BASE}

dn: {READERS}
objectClass: groupOfNames
member: uid=ana,ou=people,{BASE}
member: uid=josé,ou=people,{BASE}
"""
_CONF = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
modulepath {modules}
moduleload back_mdb
TLSCertificateFile {folder}/tls.pem
TLSCertificateKeyFile {folder}/tls.key
TLSCACertificateFile {folder}/tls.pem
database mdb
suffix "{base}"
rootdn "cn=root,{base}"
directory {folder}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service}" read by * none
"""


@dataclass(frozen=True)
class Certified:
    """A certificate for `HOST`, and the contexts of those who show it."""

    folder: Path

    @property
    def file(self) -> str:
        return str(self.folder / "tls.pem")

    def make(self) -> Certified:
        self.folder.mkdir(parents=True, exist_ok=True)
        key, (certificate,) = self_signed(HOST)
        (self.folder / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (self.folder / "tls.key").write_bytes(
            key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return self

    def context(self, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.folder / "tls.pem", self.folder / "tls.key")
        if newest < ssl.TLSVersion.TLSv1_2:
            made.set_ciphers("ALL:@SECLEVEL=0")
            made.minimum_version = newest
        made.maximum_version = newest
        return made


@contextlib.contextmanager
def slapd(folder: Path) -> Iterator[tuple[str, str, str]]:
    """OpenLDAP's server with people and groups: its ``ldap`` and its ``ldaps`` URL, and the CA of its TLS.

    ``SACBE_SLAPD_ROOT`` names a folder that Debian's package was unpacked in, where it is not installed.
    """
    root = Path(os.environ.get("SACBE_SLAPD_ROOT", "/"))
    program, modules = root / "usr/sbin/slapd", root / "usr/lib/ldap"
    if not program.exists() or not modules.exists():
        lack("slapd", "slapd")
    certified = Certified(folder).make()
    (folder / "db").mkdir()
    conf = folder / "slapd.conf"
    conf.write_text(
        _CONF.format(
            schema=root / "etc/ldap/schema", modules=modules, folder=folder, base=BASE, service=SERVICE
        )
    )
    people = f"{_LDIF}\ndn: {SERVICE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nuserPassword: {SERVICE_PASSWORD}\n"
    libraries = ":".join(str(p) for p in (root / "usr/lib").glob("*-linux-gnu"))
    environ = {**os.environ, "LD_LIBRARY_PATH": libraries} if root != Path("/") else dict(os.environ)
    add = [str(program), "-T", "add", "-f", str(conf)]
    subprocess.run(add, input=people.encode(), env=environ, check=True, capture_output=True)
    plain, tls = free_port(), free_port()
    urls = f"ldap://{HOST}:{plain}/ ldaps://{HOST}:{tls}/"
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [str(program), "-f", str(conf), "-h", urls, "-d", "0"], env=environ, stdout=log, stderr=log
        )
    try:
        for port in (plain, tls):
            until(functools.partial(_answers, port), bool)
        yield f"ldap://{HOST}:{plain}", f"ldaps://{HOST}:{tls}", certified.file
    finally:
        running.terminate()
        running.wait(timeout=30)
        shutil.rmtree(folder / "db", ignore_errors=True)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


@contextlib.asynccontextmanager
async def answering(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    context: ssl.SSLContext | None,
) -> AsyncIterator[int]:
    """A server that does to each connection what a test says; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, ssl.SSLError):
                await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
