"""The words of a diagnosis: for every code what is wrong and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.language import N_, Text
from serving.process.failing import FailureReason

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXTS: Mapping[str, tuple[Text, Text]] = {
    "no-configuration": (
        N_("There is no global configuration. Last failure: {reason}"),
        N_("Check the network to the central server and that the anchor is the present one."),
    ),
    "configuration-expired": (
        N_("The global configuration expired on {expires}. Last failure to download it: {reason}"),
        N_("Check the network to the central server; if other servers fail too, tell its operator."),
    ),
    "configuration-not-fetched": (
        N_("The global configuration cannot be renewed and expires on {expires}: {reason}"),
        N_("Check the network to the central server before then."),
    ),
    "configuration-of-unknown-key": (
        N_(
            "The central server signs the global configuration by a key that this server does not know: it was replaced while this server was off, or the anchor is of another server. What is in force ends on {expires}: {reason}"
        ),
        N_(
            "Get the new anchor from the central server's operator, compare its digest with what the operator says, and import it (gateway globalconf replace-anchor FILE, or the page of this server)."
        ),
    ),
    "loop-failing": (
        N_("A background task of this server fails and is tried again: {reason}"),
        N_("Look at this server's log, its disk and its memory, and report the failure."),
    ),
    "token": (
        N_("The token {subject} cannot be used: {reason}"),
        N_(
            "Connect the device or start its process, and log in with its PIN (gateway token login {subject}, or --pin-file at the start). A locked PIN is reset by the token's security officer."
        ),
    ),
    "clock": (
        N_("This server's clock is {seconds} s {direction} of {subject}"),
        N_("Synchronise the clock (chrony or systemd-timesyncd) and diagnose again."),
    ),
    "timestamps-failing": (
        N_("No timestamp could be had since {since}; traffic stops on {until}. Last failure: {reason}"),
        N_("Check the network to the timestamping authority, or add another at the central server."),
    ),
    "timestamps-nobody": (
        N_(
            "This server has no timestamping authority to ask, so no message gets a timestamp; traffic stops on {until} at the earliest"
        ),
        N_("Choose an approved authority (POST /system/timestamping-services, gateway timestamping add)."),
    ),
    "no-certificate": (
        N_("There is no active certificate for {subject}"),
        N_(
            "Generate a key and a request, import the certificate, register it if it is for authentication, activate it."
        ),
    ),
    "certificate-not-yet-valid": (
        N_("The certificate {subject} ({purpose}, serial {serial}, of {issuer}) is valid only from {since}"),
        N_("Check this server's clock; if it is right, wait or use another certificate."),
    ),
    "certificate-expired": (
        N_("The certificate {subject} ({purpose}, serial {serial}, of {issuer}) expired on {until}"),
        N_("Import and activate its renewal; if that is done, disable the expired one."),
    ),
    "certificate-expires": (
        N_(
            "The certificate {subject} ({purpose}, serial {serial}, of {issuer}) expires on {until}, in {days} days"
        ),
        N_("Order its renewal now: new key, request, import, register, activate."),
    ),
    "certificate-unusable": (
        N_("The certificate {subject} ({purpose}, serial {serial}, of {issuer}) cannot be used: {reason}"),
        N_(
            "Check that its CA is still approved in the global configuration, or use a certificate of an approved CA."
        ),
    ),
    "ocsp-refused": (
        N_("The OCSP response denies the certificate: {ocsp}. {reason}"),
        N_("If it was revoked on purpose, activate another certificate; if not, talk to the CA."),
    ),
    "ocsp-missing": (
        N_("There is no OCSP response: {ocsp}. Last failure: {reason}"),
        N_("Check the network to the OCSP responder; ask the CA whether it is in service."),
    ),
    "ocsp-stale": (
        N_("The OCSP response is too old: {ocsp}. Last failure: {reason}"),
        N_("Check the network to the OCSP responder and the clock; ask the CA whether it is in service."),
    ),
    "ocsp-not-renewed": (
        N_("The OCSP response cannot be renewed: {ocsp}. Last failure: {reason}"),
        N_("Traffic goes on until then: before that, check the network to the responder or talk to the CA."),
    ),
    "renewal-failed": (
        N_("The automatic renewal of {subject} failed: {reason}"),
        N_("Remove the cause, or renew by hand; it is tried again by itself."),
    ),
}
# What exchanges rest on: its name, and what is to be done about its end.
END_TEXTS: Mapping[str, tuple[Text, Text]] = {
    "certificate": (
        N_("The certificate for {subject}"),
        N_("Renew it before then: new key, request, import, register, activate; ACME does it by itself."),
    ),
    "ocsp": (
        N_("The OCSP answers for {subject}"),
        N_("Nothing: they are fetched again before. Messages stop then if the responder falls silent."),
    ),
    "configuration": (
        N_("The global configuration"),
        N_("Nothing: it is downloaded again before. Messages stop then if the central server falls silent."),
    ),
    "timestamping": (
        N_("Timestamps"),
        N_(
            "Nothing: they are asked for again and again. Messages stop then if every authority falls silent."
        ),
    ),
}
OCSP = N_(
    "certificate {certificate}; responder {responder} ({urls}); thisUpdate {this_update}; nextUpdate {next_update}; good until {good_until}"
)
DIRECTIONS = {"ahead": N_("ahead"), "behind": N_("behind")}


def finding_texts(code: str, values: Mapping[str, object]) -> tuple[Text, Text]:
    """The texts of problem and remedy of a finding; ``values`` are those of the finding, its subject among them."""
    known = dict(values)
    if "certificate" in values:
        known["ocsp"] = Text(OCSP.message, values)
    if values.get("causes"):
        known["reason"] = FailureReason(str(values["reason"]), tuple(str(values["causes"]).split()))
    if "direction" in values:
        known["direction"] = DIRECTIONS[str(values["direction"])]
    what, action = TEXTS[code]
    return Text(what.message, known), Text(action.message, known)


def end_texts(kind: str, subject: object) -> tuple[Text, Text]:
    """The texts of something that exchanges rest on, and of what to do before it ends."""
    what, action = END_TEXTS[kind]
    return Text(what.message, {"subject": subject}), action
