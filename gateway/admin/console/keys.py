"""Keys and certificates: tokens with their PIN, keys, signing requests by a CA's profile, certificates from import to their end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gateway.admin.authorities import AuthorityView, FieldView
from gateway.admin.clients import GatewayClientView
from gateway.admin.console.expiries import ending_blocks
from gateway.admin.keyviews import TokenView
from serving.language import N_, as_it_is
from serving.process.failing import FailureReason
from serving.web.acting import act, act_cell, download, form_of
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageLink,
    PageNote,
    PageView,
    QueryField,
    QueryForm,
    code,
    day,
    link,
    phrase,
    several,
    text,
)
from serving.web.codewords import left_of, word
from serving.web.formnames import ROOT
from serving.web.forms import FieldKind, FormField
from serving.web.operationpages import ShownField

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admin.keyviews import CertificateView, CsrView, KeyView
    from serving.language import Translatable
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

HERE = f"{ROOT}/llaves"
TRAIL = (PageLink(N_("Keys and certificates"), HERE),)
CERTIFICATE_ACTS = (
    ("ACTIVATE", "put_token_certificates_hash_activate", N_("Use it")),
    ("DISABLE", "put_token_certificates_hash_disable", N_("Use it no longer")),
    ("REGISTER", "put_token_certificates_hash_register", N_("Register it")),
    ("UNREGISTER", "put_token_certificates_hash_unregister", N_("Have its registration deleted")),
    ("IMPORT_FROM_TOKEN", "post_token_certificates_hash_import", N_("Import it from the token")),
    ("DELETE", "delete_token_certificates_hash", N_("Delete it")),
)


async def keys(request: ConsoleRequest) -> PageView:
    """Tokens with their keys, and what may be done with each."""
    tokens = await request.do("get_tokens", list[TokenView])
    blocks: list[Block | None] = []
    for token in tokens:
        blocks += _token_blocks(request, token)
    blocks += ending_blocks(request, tokens, datetime.now(UTC))
    links = (
        PageLink(N_("New key with a signing request"), f"{HERE}/solicitud", main=True),
        act(request, "post_token_certificates", N_("Import a certificate"), back=HERE),
    )
    return PageView(N_("Keys and certificates"), blocks, links)


def _token_blocks(request: ConsoleRequest, token: TokenView) -> list[Block | None]:
    named = {"id": token.id}
    may = set(token.possible_actions)
    links = (
        act(request, "put_tokens_id_login", N_("Enter the PIN"), named, main=True)
        if "LOGIN" in may
        else None,
        act(request, "put_tokens_id_logout", N_("Forget the PIN"), named) if "LOGOUT" in may else None,
        act(request, "put_tokens_id_pin", N_("Change the PIN"), named) if "TOKEN_CHANGE_PIN" in may else None,
        act(request, "patch_tokens_id", N_("Rename"), named, given={"name": token.name})
        if "EDIT_FRIENDLY_NAME" in may
        else None,
        act(request, "post_tokens_id_keys", N_("New key without a request"), named)
        if "GENERATE_KEY" in may
        else None,
    )
    state = phrase(N_("open"), "good") if token.logged_in else phrase(N_("waits for its PIN"), "bad")
    facts = FactSheet(
        (
            (N_("State"), several(state, word(token.status) if token.status != "OK" else None)),
            (N_("Where"), word(token.type)),
            (N_("Identifier"), code(token.id)),
        )
    )
    columns = (
        Column(N_("Key")),
        Column(N_("Use")),
        Column(N_("Algorithm")),
        Column(N_("Signing requests")),
        Column(N_("Certificates")),
        Column(N_("What can be done")),
    )
    rows = tuple(_key_row(request, token, key) for key in token.keys)
    empty = N_("No key yet: make one with its signing request.")
    return [
        Heading(N_("Token {name}", name=token.name), None, links),
        facts,
        Listing(N_("Keys of this token"), columns, rows, empty),
    ]


def _key_row(request: ConsoleRequest, token: TokenView, key: KeyView) -> tuple[Cell, ...]:
    named = {"id": key.id}
    may = set(key.possible_actions)
    csr_page = f"{HERE}/solicitud?token={token.id}&clave={key.id}"
    uses = "" if key.usage is None else f"&uso={key.usage}"
    asks = may & {"GENERATE_AUTH_CSR", "GENERATE_SIGN_CSR"}
    return (
        several(text(key.label or key.name), code(key.id)),
        word(key.usage),
        text(key.key_algorithm),
        several(*(_csr_cell(request, key, csr) for csr in key.certificate_signing_requests)),
        several(*(_certificate_cell(request, c) for c in key.certificates)),
        several(
            link(N_("New signing request"), csr_page + uses) if asks else None,
            act_cell(request, "patch_keys_id", N_("Rename"), named, {"name": key.name})
            if "EDIT_FRIENDLY_NAME" in may
            else None,
            act_cell(request, "delete_keys_id", N_("Delete"), named) if "DELETE" in may else None,
        ),
    )


def _csr_cell(request: ConsoleRequest, key: KeyView, csr: CsrView) -> Cell:
    named = {"id": key.id, "csr_id": csr.id}
    files = [
        download(request, "get_keys_id_csrs_csr_id", label, {**named, "csr_format": kind})
        for kind, label in (("PEM", N_("download as text")), ("DER", N_("download as binary")))
    ]
    return several(
        code(csr.owner_id),
        *(link(f.text, f.href) for f in files if f is not None),
        act_cell(request, "delete_keys_id_csrs_csr_id", N_("delete"), named)
        if "DELETE" in csr.possible_actions
        else None,
    )


def _certificate_cell(request: ConsoleRequest, certificate: CertificateView) -> Cell:
    details = certificate.certificate_details
    left, tone = left_of(details.not_after, datetime.now(UTC))
    return several(
        text(details.subject_distinguished_name),
        word(certificate.status),
        phrase(N_("in use"), "good") if certificate.active else phrase(N_("not in use"), "caution"),
        day(details.not_after),
        phrase(left, tone),
        phrase(
            N_(
                "could not be renewed: {why}",
                why=FailureReason(certificate.renewal_error, tuple(certificate.renewal_causes or ())),
            ),
            "bad",
        )
        if certificate.renewal_error
        else None,
        *(
            act_cell(request, operation, label, {"hash": details.hash})
            for action, operation, label in CERTIFICATE_ACTS
            if action in certificate.possible_actions
        ),
    )


# A signing request

SUBJECT_LABELS: Final[dict[str, Translatable]] = {
    "COMMON_NAME": N_("Common name"),
    "COUNTRY_CODE": N_("Country code, two letters"),
    "INSTANCE_IDENTIFIER": N_("Instance"),
    "MEMBER_CLASS": N_("Member class"),
    "MEMBER_CODE": N_("Member code"),
    "ORGANIZATION_NAME": N_("Name of the organisation"),
    "SERIAL_NUMBER": N_("Serial number"),
    "SERVER_CODE": N_("Server code"),
    "SERVER_DNS_NAME": N_("DNS name of this server"),
    "SUBJECT_ALTERNATIVE_NAME": N_("Other DNS names of this server"),
}


async def signing_request(request: ConsoleRequest) -> PageView:
    """A signing request in two steps: for what and by whom, then the fields that the CA's profile wants."""
    query = request.query
    use, ca, member = query.get("uso", ""), query.get("ca", ""), query.get("miembro", "")
    token, key = query.get("token", "0"), query.get("clave", "")
    title, step = N_("Signing request"), N_("Step {step} of 2", step=2 if use and ca else 1)
    if use not in ("SIGNING", "AUTHENTICATION") or not ca:
        return PageView(title, [await _first_step(request, use, member, token, key)], trail=TRAIL, lead=step)
    values = {"key_usage_type": use, **({"member_id": member} if use == "SIGNING" and member else {})}
    fields = await request.do(
        "get_certificate_authorities_ca_name_csr_subject_fields", list[FieldView], {"ca_name": ca}, values
    )
    facts = FactSheet(
        (
            (N_("Use"), word(use)),
            (N_("Certificate authority"), text(ca)),
            *(((N_("Member"), code(member)),) if use == "SIGNING" else ()),
        )
    )
    form = _second_step(request, fields, values | {"ca_name": ca}, token, key)
    return PageView(
        title, [facts, form or PageNote(N_("Your account may not do that"), "bad")], trail=TRAIL, lead=step
    )


async def _first_step(request: ConsoleRequest, use: str, member: str, token: str, key: str) -> QueryForm:
    authorities = await request.do("get_certificate_authorities", list[AuthorityView])
    owners = await request.fetch(
        "get_clients", list[GatewayClientView], query={"internal_search": "true", "show_members": "true"}
    )
    members = dict.fromkeys(":".join(c.id.split(":")[:3]) for c in owners.value or ())
    uses = tuple((u, w.text) for u in ("SIGNING", "AUTHENTICATION") for w in (word(u),))
    return QueryForm(
        (
            QueryField("uso", N_("What is the key for?"), use or "SIGNING", uses),
            QueryField(
                "ca",
                N_("Certificate authority"),
                "",
                tuple((a.name, as_it_is(a.name)) for a in authorities if a.top_ca),
            ),
            QueryField(
                "miembro",
                N_("Whose messages does it sign?"),
                member,
                tuple((m, as_it_is(m)) for m in members),
                N_("Counts only for a key that signs messages."),
            ),
        ),
        N_("Go on"),
        f"{HERE}/solicitud",
        tuple((n, v) for n, v in (("token", token), ("clave", key)) if v),
    )


def subject_label(key: str) -> Translatable:
    """The name of a field of a certificate's subject, by the key that profiles have for it."""
    known = SUBJECT_LABELS.get(key) or SUBJECT_LABELS.get(key.rpartition("_")[0])
    return known or N_("Field {name}", name=key)


def _second_step(
    request: ConsoleRequest, fields: Sequence[FieldView], settled: dict[str, str], token: str, key: str
) -> Block | None:
    prefix = "" if key else "csr_generate_request."
    fixed = {f"{prefix}{n}": v for n, v in settled.items()} | {"id": key or token}
    shown = []
    for found in fields:
        name = f"{prefix}subject_field_values.{found.id}"
        if found.read_only:
            fixed[name] = found.default_value or ""
            continue
        label = found.label or request.translate(subject_label(found.label_key or found.id))
        field = FormField(name, FieldKind.TEXT, found.required, longest=255)
        shown.append(
            ShownField(field, found.default_value or "", name_given=as_it_is(f"{label} ({found.id})"))
        )
    choices = FormField(f"{prefix}csr_format", FieldKind.CHOICE, True, ("PEM", "DER"))
    shown.append(ShownField(choices, "PEM"))
    if key:
        return form_of(
            request, "post_keys_id_csrs", N_("Make the request and download it"), shown, fixed, HERE
        )
    label_field = FormField("key_label", FieldKind.TEXT, False, longest=255)
    shown.insert(0, ShownField(label_field))
    return form_of(
        request, "post_tokens_id_keys_with_csrs", N_("Make the key and its request"), shown, fixed, HERE
    )
