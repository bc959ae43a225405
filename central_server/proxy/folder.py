"""The data folder of a configuration proxy: the source's anchor, a token with the one signing key, and what is published.

``proxy.json`` names the key, its certificate and where the proxy is reached; it is written last, so a folder without it is one that
`make_folder` was interrupted in, and can be made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from central_server.publication.nodekeys import certify_signing_key
from central_server.publication.publish import SourceKey
from certs.algorithms import SignatureAlgorithm
from certs.certificates import parse_certificate
from certs.edges.devices import SoftwareDevice
from certs.edges.tokenfiles import TokenFolder, write_whole
from certs.tokens.port import SOFTWARE_TOKEN_ID, KeyId
from certs.tokens.soft import SoftToken
from schemas.globalconf.anchor import Anchor, AnchorSource, parse_anchor, render_anchor
from schemas.jsontext import decode_json, encode_json

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

SOURCE_ANCHOR = "source-anchor.xml"
OWN_ANCHOR = "anchor.xml"
_STATE = "proxy.json"


class ProxyState(msgspec.Struct, frozen=True):
    """The content of ``proxy.json``, as the proxy keeps it."""

    key_id: str
    certificate: bytes
    address: str


class ProxyFolder:
    """One folder. Raises ValueError where it is not one of a proxy."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.published = root / "published"
        self.device = SoftwareDevice(SOFTWARE_TOKEN_ID, SoftToken(TokenFolder(root / "token")))

    @property
    def is_made(self) -> bool:
        """Whether it was made whole."""
        return (self.root / _STATE).exists()

    def state(self) -> ProxyState:
        """The proxy's key, certificate and address."""
        try:
            return decode_json((self.root / _STATE).read_bytes(), ProxyState)
        except (OSError, msgspec.MsgspecError) as err:
            raise ValueError(
                f"{self.root} is no folder of a configuration proxy; make one: central-server proxy init"
            ) from err

    def source(self) -> Anchor:
        """The anchor of the configuration that is relayed."""
        return parse_anchor((self.root / SOURCE_ANCHOR).read_bytes())

    def key(self) -> SourceKey:
        """The key the proxy signs with."""
        state = self.state()
        public = parse_certificate(state.certificate).public_key()
        return SourceKey(KeyId(state.key_id), state.certificate, SignatureAlgorithm.for_key(public))

    async def make(self, anchor: bytes, address: str, pin: str, kind: str, now: datetime) -> Anchor:
        """Token, key, and the anchor to hand out; what is there of an earlier try is used."""
        parse_anchor(anchor)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Each step below is on disk when its line returns; a crash leaves what was made, and the next try goes on with it but for
        # a key without certificate, which stays on the token unused.
        write_whole(self.root / SOURCE_ANCHOR, anchor)
        if (self.root / "token" / "token.json").exists():
            await self.device.login(pin)
        else:
            await self.device.make(pin)
        made = await self.device.generate_key(kind, "configuration proxy", "sign")
        certificate = await certify_signing_key(self.device, made, "configuration proxy signing key")
        write_whole(
            self.root / _STATE, encode_json(ProxyState(made.id, certificate, address))
        )  # on disk now: a whole proxy
        return self.write_anchor(now)

    def write_anchor(self, now: datetime) -> Anchor:
        """The anchor by which this proxy is trusted, in the folder and returned."""
        kept = self.root / OWN_ANCHOR
        if kept.exists():
            return parse_anchor(kept.read_bytes())
        state, source = self.state(), self.source()
        url = f"http://{state.address}/internalconf"
        anchor = Anchor(
            source.instance, (AnchorSource(url, (state.certificate,)),), now.replace(microsecond=0)
        )
        raw = render_anchor(anchor)
        # On disk from here on, and it stays: an anchor that was handed out is never made anew.
        write_whole(kept, raw)
        return parse_anchor(raw)
