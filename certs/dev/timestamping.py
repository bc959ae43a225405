"""The development timestamping authority: RFC 3161 replies signed over SHA-512, without state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from certs.algorithms import DigestAlgorithm
from certs.certificates import der_of
from certs.der import UNREADABLE, load_value
from certs.verify.timestamp import TimestampReply

if TYPE_CHECKING:
    from datetime import datetime

    from certs.dev.authority import DevPki


def timestamp_reply(
    pki: DevPki, request: bytes, at: datetime, serial: int, *, wrong_nonce: bool = False
) -> bytes:
    """The reply (DER) to a timestamp request. A request that cannot be served is refused as RFC 3161 says.

    ``wrong_nonce`` answers another nonce than was asked with, on purpose.
    """
    try:
        query = load_value(request, tsp.TimeStampReq, "request")
        imprint = query["message_imprint"]
        algorithm = imprint["hash_algorithm"]["algorithm"].native
        nonce = query["nonce"].native
        wants_certificate = bool(query["cert_req"].native)
        info: dict[str, object] = {
            "version": "v1",
            "policy": "1.3.6.1.4.1.13762.3",
            "message_imprint": tsp.MessageImprint.load(imprint.dump()),
            "serial_number": serial,
            "gen_time": at,
        }
        _ = imprint["hashed_message"].native
    except UNREADABLE:
        return _refusal("bad_data_format")
    if algorithm not in ("sha256", "sha384", "sha512"):
        return _refusal("bad_alg")
    if nonce is not None:
        info["nonce"] = 1 if wrong_nonce else nonce
    token = _sign_cms(pki, tsp.TSTInfo(info).dump(), with_certificate=wants_certificate)
    reply: bytes = TimestampReply({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
    return reply


def _refusal(reason: str) -> bytes:
    refusal: bytes = TimestampReply({"status": {"status": "rejection", "fail_info": {reason}}}).dump()
    return refusal


def _sign_cms(pki: DevPki, content: bytes, *, with_certificate: bool) -> cms.ContentInfo:
    certificate, key = pki.tsa_certificate, pki.key_of("tsa")
    digest = DigestAlgorithm.SHA512
    encoded = asn1_x509.Certificate.load(der_of(certificate))
    sha512 = {"algorithm": "sha512"}
    named = {"hash_algorithm": sha512, "cert_hash": digest.digest(der_of(certificate))}
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest.digest(content)]}),
            cms.CMSAttribute({"type": "signing_certificate_v2", "values": [{"certs": [named]}]}),
        ]
    )
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA512())
        algorithm = {"algorithm": "sha512_rsa", "parameters": core.Null()}
    else:
        signature = key.sign(attributes.dump(), ec.ECDSA(hashes.SHA512()))
        algorithm = {"algorithm": "sha512_ecdsa"}
    signer = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                "issuer_and_serial_number",
                {"issuer": encoded.issuer, "serial_number": encoded.serial_number},
            ),
            "digest_algorithm": sha512,
            "signed_attrs": attributes,
            "signature_algorithm": algorithm,
            "signature": signature,
        }
    )
    return cms.ContentInfo(
        {
            "content_type": "signed_data",
            "content": _signed_data(content, signer, [encoded] if with_certificate else []),
        }
    )


def _signed_data(
    content: bytes, signer: cms.SignerInfo, certificates: list[asn1_x509.Certificate]
) -> cms.SignedData:
    fields: dict[str, object] = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": "sha512"}],
        "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(content)},
        "signer_infos": [signer],
    }
    if certificates:
        fields["certificates"] = [cms.CertificateChoices("certificate", c) for c in certificates]
    return cms.SignedData(fields)
