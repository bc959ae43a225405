"""The data folder of a configuration proxy: the source's anchor, the one signing key on its token, and what is published.

``proxy.json`` names the key, its certificate and where the proxy is reached; it is written last, so a folder without it is one that
`make_folder` was interrupted in, and can be made again.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import msgspec

from central_server.publication.nodekeys import certify_signing_key
from central_server.publication.publish import SourceKey
from certs.algorithms import SignatureAlgorithm
from certs.certificates import parse_certificate
from certs.edges.tokenfiles import write_whole
from certs.tokens.port import SOFTWARE_TOKEN_ID, KeyId, TokenStatus, TokenType
from schemas.globalconf.anchor import Anchor, AnchorSource, parse_anchor, render_anchor
from schemas.jsontext import decode_json, encode_json
from serving.config.tokensettings import TokensSection
from serving.errors import OperatorError
from serving.language import N_
from serving.process.devices import build_device, build_signers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

SOURCE_ANCHOR = "source-anchor.xml"
OWN_ANCHOR = "anchor.xml"
_STATE = "proxy.json"
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
# How long a process that holds a token may take to answer.
_WAIT_S = 60.0


class ProxyState(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``proxy.json``, as the proxy keeps it. ``name`` is the path it is served below, where several share an address."""

    key_id: str
    certificate: bytes
    address: str
    token: str = SOFTWARE_TOKEN_ID
    name: str = ""

    @property
    def prefix(self) -> str:
        """The path that stands before ``/internalconf``."""
        return f"/{self.name}" if self.name else ""


class ProxyFolder:
    """One folder. Raises ValueError where it is not one of a proxy."""

    def __init__(
        self,
        root: Path,
        keys: TokensSection | None = None,
        token: str | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        """``keys`` are the settings of tokens, ``token`` the one its key is made on (else the one it is on); ``arguments`` say to the
        processes that hold tokens where the settings are. Raises LookupError for a token that the settings do not name.
        """
        self.root = root
        self.published = root / "published"
        self.token = token or (self.state().token if self.is_made else SOFTWARE_TOKEN_ID)
        settings = keys or TokensSection()
        chosen = settings.token(self.token)
        self.device = build_device(settings, root, chosen)
        alone = msgspec.structs.replace(settings, tokens=(chosen,))
        self.signers = [
            s for s in build_signers("central_server", alone, root, arguments) if s.token_id == self.token
        ]

    @property
    def is_made(self) -> bool:
        """Whether the folder was made to its end: ``init`` writes its state last."""
        return (self.root / _STATE).exists()

    def state(self) -> ProxyState:
        """The proxy's key, certificate and address. Raises ValueError."""
        try:
            return decode_json((self.root / _STATE).read_bytes(), ProxyState)
        except (OSError, msgspec.MsgspecError) as err:
            raise OperatorError(
                N_(
                    "{root} is no folder of a configuration proxy; make one: central-server proxy init",
                    root=self.root,
                )
            ) from err

    def source(self) -> Anchor:
        """The anchor of the configuration that is relayed."""
        return parse_anchor((self.root / SOURCE_ANCHOR).read_bytes())

    def key(self) -> SourceKey:
        """The key the proxy signs with."""
        state = self.state()
        public = parse_certificate(state.certificate).public_key()
        algorithm = SignatureAlgorithm.for_key(public, pss=self.device.signs_pss)
        return SourceKey(KeyId(state.key_id), state.certificate, algorithm)

    async def open_token(self, pin: Callable[[], str]) -> None:
        """Log in to a software token; a PKCS#11 token logs in by its settings, in its own process. Raises `TokenFailed`, ValueError."""
        state = await self.device.state()
        deadline = asyncio.get_running_loop().time() + _WAIT_S
        while not state.available and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)  # another process says nothing when it is ready
            state = await self.device.state()
        if self.device.type is TokenType.HARDWARE:
            if not state.logged_in:
                raise OperatorError(
                    N_(
                        "the token {token} is not logged in: {reason}",
                        token=self.token,
                        reason=state.failure or N_("say in keys.tokens where its PIN is"),
                    )
                )
        elif state.status is TokenStatus.NOT_INITIALIZED:
            await self.device.make(pin())
        else:
            await self.device.login(pin())

    def begin(self, anchor: bytes) -> None:
        """The folder with the source's anchor in it; what is there of an earlier try is used."""
        parse_anchor(anchor)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # On disk when this returns: the folder counts as a proxy's that was begun, and its token's process may start in it.
        write_whole(self.root / SOURCE_ANCHOR, anchor)

    async def make(
        self, address: str, pin: Callable[[], str], kind: str, now: datetime, name: str = ""
    ) -> Anchor:
        """Token, key, and the anchor to hand out, in a folder that was begun. Raises ValueError."""
        if name and not _NAME.fullmatch(name):
            raise OperatorError(N_("a proxy's name is letters, digits and hyphens, not {name!r}", name=name))
        # Each step below is on disk when its line returns; a crash leaves what was made, and the next try goes on with it but for
        # a key without certificate, which stays on the token unused.
        await self.open_token(pin)
        made = await self.device.generate_key(kind, "configuration proxy", "sign")
        certificate = await certify_signing_key(self.device, made, "configuration proxy signing key")
        write_whole(
            self.root / _STATE,
            encode_json(ProxyState(made.id, certificate, address, self.token, name)),
        )  # on disk now: a whole proxy
        return self.write_anchor(now)

    def write_anchor(self, now: datetime) -> Anchor:
        """The anchor by which this proxy is trusted, in the folder and returned."""
        kept = self.root / OWN_ANCHOR
        if kept.exists():
            return parse_anchor(kept.read_bytes())
        state, source = self.state(), self.source()
        url = f"http://{state.address}{state.prefix}/internalconf"
        anchor = Anchor(
            source.instance, (AnchorSource(url, (state.certificate,)),), now.replace(microsecond=0)
        )
        raw = render_anchor(anchor)
        # On disk from here on, and it stays: an anchor that was handed out is never made anew.
        write_whole(kept, raw)
        return parse_anchor(raw)
