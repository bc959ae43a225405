"""Which actions a state allows, as pure rules, and what the global configuration makes of a state. Who may act is asked elsewhere.

Unlike X-Road, authentication keys may live on hardware tokens too. Spec: X-Road 7.8's PossibleActionsRuleEngine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.tokens.port import SOFTWARE_TOKEN_ID, TokenStatus
from gateway.keys.model import CertificateEvent, CertificateStatus, KeyUsage, PossibleAction, move
from gateway.refusals import GatewayCode
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from gateway.keys.model import Key, KeyCertificate, Token
    from gateway.keys.store import KeyConfStore
    from schemas.identifiers import ServerId

Actions = frozenset[PossibleAction]


def token_actions(token: Token) -> Actions:
    """The actions that a token's state allows."""
    found = {PossibleAction.EDIT_FRIENDLY_NAME}
    if token.logged_in:
        found |= {PossibleAction.GENERATE_KEY, PossibleAction.LOGOUT, PossibleAction.TOKEN_CHANGE_PIN}
    elif token.available:
        if token.status is not TokenStatus.NOT_INITIALIZED:
            found.add(PossibleAction.LOGIN)
    elif token.id != SOFTWARE_TOKEN_ID:
        found.add(PossibleAction.TOKEN_DELETE)
    return frozenset(found)


def key_actions(token: Token, key: Key) -> Actions:
    """The actions that the states of a key and its token allow."""
    found = {PossibleAction.EDIT_FRIENDLY_NAME}
    if token.logged_in and not token.read_only:
        found.add(PossibleAction.DELETE)
    if token.logged_in and key.available:
        if key.usage in (None, KeyUsage.AUTHENTICATION):
            found.add(PossibleAction.GENERATE_AUTH_CSR)
        if key.usage in (None, KeyUsage.SIGNING):
            found.add(PossibleAction.GENERATE_SIGN_CSR)
    return frozenset(found)


def request_actions() -> Actions:
    """The actions that a signing request allows: deletion, whatever its token's state."""
    return frozenset((PossibleAction.DELETE,))


def certificate_actions(certificate: KeyCertificate) -> Actions:
    """The actions that a certificate's state allows. One found on a token can be imported, if it is for signing (as in X-Road)."""
    if not certificate.saved:
        signing = certificate.usage is KeyUsage.SIGNING
        return frozenset((PossibleAction.IMPORT_FROM_TOKEN,)) if signing else frozenset()
    found = {PossibleAction.DISABLE if certificate.active else PossibleAction.ACTIVATE}
    auth = certificate.usage is KeyUsage.AUTHENTICATION
    known_above = certificate.status in (
        CertificateStatus.REGISTRATION_IN_PROGRESS,
        CertificateStatus.REGISTERED,
    )
    if auth and known_above:
        found.add(PossibleAction.UNREGISTER)
    else:
        found.add(PossibleAction.DELETE)
    if auth and certificate.status is CertificateStatus.SAVED:
        found.add(PossibleAction.REGISTER)
    return frozenset(found)


def require(action: PossibleAction, possible: Actions) -> None:
    """Refuse an action the state does not allow. Raises `Refused` (``action_not_possible``)."""
    if action not in possible:
        allowed = ", ".join(sorted(possible)) or "nothing"
        raise Refused(
            GatewayCode.ACTION_NOT_POSSIBLE,
            N_("{action} is not possible now; possible: {allowed}", action=action, allowed=allowed),
        )


_NEW = (CertificateStatus.SAVED, CertificateStatus.REGISTRATION_IN_PROGRESS)


def observe(
    store: KeyConfStore,
    configuration: TrustedConfiguration,
    server_id: ServerId,
    now: datetime,
    *,
    activates: bool = False,
) -> tuple[tuple[KeyCertificate, str], ...]:
    """Move certificates as the global configuration says; what changed, with a word for each.

    ``activates`` lets those that it lists for the first time wait for their activation. On disk with the state, so a crash
    between the two leaves none behind.
    """
    changed: list[tuple[KeyCertificate, str]] = []
    for certificate in store.certificates():
        if certificate.usage is KeyUsage.SIGNING:
            continue
        listed = configuration.server_by_auth_certificate(certificate.der)
        seen = listed is not None and listed.id == server_id
        new_status = move(certificate.status, CertificateEvent.SEEN if seen else CertificateEvent.GONE)
        if new_status is not None:
            since = now if new_status is CertificateStatus.REGISTERED else None
            waits = activates and since is not None and certificate.status in _NEW
            moved = store.change_certificate(
                certificate, status=new_status, registered_at=since, awaits_activation=waits
            )
            changed.append((moved, new_status.value))
    return tuple(changed)
