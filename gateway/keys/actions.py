"""Which actions a state allows, as pure rules. Who may carry them out is asked elsewhere.

Unlike X-Road, authentication keys may live on hardware tokens too. Spec: X-Road 7.8's PossibleActionsRuleEngine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.tokens.port import SOFTWARE_TOKEN_ID, TokenStatus
from gateway.keys.model import CertificateStatus, KeyUsage, PossibleAction
from gateway.refusals import GatewayCode
from serving.errors import Refused

if TYPE_CHECKING:
    from gateway.keys.model import Key, KeyCertificate, Token

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
        raise Refused(GatewayCode.ACTION_NOT_POSSIBLE, f"{action} is not possible now; possible: {allowed}")
