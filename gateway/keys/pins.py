"""Which PINs a token may be given: what tokens can take, and X-Road's policy where the settings ask for it.

Spec: UG-SYSPAR 3.4 ``enforce-token-pin-policy``.
"""

from __future__ import annotations

from gateway.refusals import GatewayCode
from serving.errors import Refused
from serving.language import N_

POLICY_LENGTH = 10
POLICY_CLASSES = 3
_CLASSES = (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())


def check_pin(pin: str, *, strict: bool) -> None:
    """Refuse a PIN that a token could not take, or that the policy forbids when it is ``strict``. Raises `Refused`."""
    if not pin.isascii() or not pin.isprintable():
        raise Refused(GatewayCode.INVALID_CHARACTERS_PIN, N_("a PIN has printable ASCII characters only"))
    if len(pin) < 4:
        raise Refused(
            GatewayCode.TOKEN_WEAK_PIN, N_("a PIN has at least four characters"), "pin_min_length", "4"
        )
    classes = sum(any(map(is_one, pin)) for is_one in _CLASSES)
    if strict and (len(pin) < POLICY_LENGTH or classes < POLICY_CLASSES):
        raise Refused(
            GatewayCode.TOKEN_WEAK_PIN,
            N_(
                "keys.enforce_pin_policy asks of a PIN {policy_length} characters of {policy_classes} of the classes small, capital, digits, others; this one has {count} characters of {classes}",
                policy_length=POLICY_LENGTH,
                policy_classes=POLICY_CLASSES,
                count=len(pin),
                classes=classes,
            ),
            *("pin_min_length", str(POLICY_LENGTH), "pin_min_char_classes_count", str(POLICY_CLASSES)),
        )
