"""Mail by SMTP: in clear, with STARTTLS or within TLS, with or without a login; the server's certificate is proved."""

from __future__ import annotations

import smtplib
import ssl
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import EmailMessage

    from serving.config.secret import SecretSource

TIMEOUT_S = 20
# What `deliver` raises when the mail was not taken.
MAIL_ERRORS = (OSError, smtplib.SMTPException, ValueError)


class MailServer(Protocol):
    """The settings of a mail server, in the words of both servers' settings."""

    @property
    def smtp_host(self) -> str:
        """The mail server's host name."""
        ...

    @property
    def smtp_port(self) -> int:
        """The mail server's TCP port."""
        ...

    @property
    def smtp_security(self) -> str:
        """The connection's security: ``none``, ``starttls`` or ``tls``."""
        ...

    @property
    def smtp_user(self) -> str:
        """Who logs in; empty: nobody."""
        ...

    @property
    def smtp_password(self) -> SecretSource:
        """The source of the password for the mail server."""
        ...


def deliver(server: MailServer, environ: Mapping[str, str], message: EmailMessage) -> None:
    """Hand in a mail. It blocks: call it in a thread. Raises one of `MAIL_ERRORS`."""
    context = ssl.create_default_context()
    if server.smtp_security == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(
            server.smtp_host, server.smtp_port, timeout=TIMEOUT_S, context=context
        )
    else:
        client = smtplib.SMTP(server.smtp_host, server.smtp_port, timeout=TIMEOUT_S)
    with client:
        if server.smtp_security == "starttls":
            client.starttls(context=context)
        if server.smtp_user:
            client.login(server.smtp_user, server.smtp_password.read(environ))
        client.send_message(message)
