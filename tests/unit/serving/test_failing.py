"""Why something failed, found by the types beneath an exception and said in the reader's language."""

from __future__ import annotations

import asyncio
import errno
import smtplib
import socket
import ssl
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.health.diagnosistexts import finding_texts
from schemas.faults import Fault, Kind, NotProved, UnexpectedStatus
from serving.errors import OperatorError
from serving.language import N_, SOURCE_LANGUAGE, console_languages, languages
from serving.process.failing import CAUSES, FailureReason, causes_of, fault_causes, reason_of
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import Callable


def raised(build: Callable[[], BaseException], under: BaseException | None = None) -> BaseException:
    """What is caught, as an exception that really was raised."""
    try:
        raise build() from under
    except BaseException as err:
        return err


def untrusted(number: int) -> ssl.SSLCertVerificationError:
    found = ssl.SSLCertVerificationError("certificate verify failed")
    found.verify_code = number
    return found


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "connection_refused"),
        (TimeoutError(), "timed_out"),
        (aiohttp.ServerTimeoutError(), "timed_out"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name_not_found"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no_route"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "broken_off"),
        (aiohttp.ServerDisconnectedError(), "no_connection"),
        (untrusted(10), "certificate_expired"),
        (untrusted(62), "certificate_of_another"),
        (untrusted(18), "certificate_not_trusted"),
        (ssl.SSLError(1, "wrong version number"), "no_tls"),
        (UnexpectedStatus(503), "http_status=503"),
        (ValueError("more than 5 bytes came"), "unexpected_content"),
        (OSError(errno.ENOSPC, "No space left"), "disk_full"),
        (FileNotFoundError(errno.ENOENT, "none", "x"), "file_missing"),
        (OSError(errno.ELOOP, "loop"), "system_error=ELOOP"),
        (smtplib.SMTPRecipientsRefused({}), "mail_refused"),
        (OperatorError("no"), "rule"),
        (KeyError("x"), "unexpected"),
        (NotProved(Kind.CERT_VALIDATION, "revoked"), "fault=cert_validation"),
    ],
)
def test_the_cause_is_known_by_the_type_alone_and_below_any_fault(error: BaseException, cause: str) -> None:
    assert causes_of(error) == (cause,)
    if not cause.startswith("fault") and cause != "unexpected":
        assert causes_of(raised(lambda: NotProved(Kind.CERT_VALIDATION, "no answer"), error)) == (cause,)


def test_of_several_that_failed_each_cause_is_known_once() -> None:
    errors = [TimeoutError(), UnexpectedStatus(404), TimeoutError(), Fault(Kind.INVALID_XML, "x")]
    fault = raised(lambda: Fault(Kind.GLOBAL_CONF_DOWNLOAD_FAILED, "none"), ExceptionGroup("none", errors))
    assert causes_of(fault) == ("timed_out", "http_status=404", "fault=invalid_xml")


def test_what_was_being_handled_counts_only_where_the_exception_itself_says_nothing() -> None:
    exact, wrapped = UnexpectedStatus(500), OSError("wrapped")
    exact.__context__ = wrapped.__context__ = TimeoutError()
    assert causes_of(exact) == ("http_status=500",)
    assert causes_of(wrapped) == ("timed_out",)


def test_a_reason_is_said_in_every_language_and_its_text_is_kept() -> None:
    reason = reason_of(ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), "http://x")
    assert str(reason) == "http://x: [Errno 111] Connect call failed"
    texts = {language: reason.into(language) for language in console_languages()}
    assert texts["es"].startswith("se rechazó la conexión") and texts["es"].endswith(f"({reason})")
    assert len(set(texts.values())) == len(texts)
    assert FailureReason("as it was", ("unheard_of",)).into("es") == "unheard_of (as it was)"


@pytest.mark.parametrize("cause", CAUSES)
def test_every_cause_has_words_in_every_language_of_the_consoles(cause: str) -> None:
    english = FailureReason("", (f"{cause}=7",)).into(SOURCE_LANGUAGE)
    for language in console_languages():
        text = FailureReason("", (f"{cause}=7",)).into(language)
        assert text and (text != english or language == SOURCE_LANGUAGE), (cause, language)


def test_a_finding_says_its_reason_in_the_readers_language_before_the_librarys_own_words() -> None:
    values = {"subject": "", "expires": "-", "reason": "HTTP 503", "causes": "http_status=503"}
    what, _ = finding_texts("configuration-not-fetched", values)
    assert "respondió HTTP 503" in what.into("es") and "(HTTP 503)" in what.into("es")


def test_the_code_of_a_fault_is_a_cause_in_either_spelling() -> None:
    assert fault_causes("server.clientproxy.network_error") == ("fault=network_error",)
    assert fault_causes("nothing.of.ours") == ()


def test_what_an_address_really_answers_is_known(unused_tcp_port: int) -> None:
    async def ask(url: str) -> tuple[str, ...]:
        async with outward_session(timeout=aiohttp.ClientTimeout(total=5)) as session:
            try:
                async with session.get(url):
                    return ()
            except (aiohttp.ClientError, OSError, ValueError) as err:
                return causes_of(err)

    assert asyncio.run(ask(f"http://127.0.0.1:{unused_tcp_port}/")) == ("connection_refused",)
    assert asyncio.run(ask("http://nobody.invalid/")) == ("name_not_found",)
    assert asyncio.run(ask("http://:0/")) == ("no_address",)


def test_an_operators_error_is_english_in_logs_and_its_readers_language_on_pages() -> None:
    inner = OperatorError(N_("the backup is not signed by a server"))
    outer = OperatorError(N_("{name}: {err}", name="x", err=inner))
    assert str(outer) == "x: the backup is not signed by a server"
    assert outer.text.into("es") != str(outer) and outer.text.into("es").startswith("x: ")
    assert set(languages()) == {"en", "es"}
