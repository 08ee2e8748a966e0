"""Sends mail, when there is a server for it."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import Literal, Protocol

import msgspec


class Mailer(Protocol):
    """Whoever can send a mail; called in a thread that may wait."""

    def send(self, to: str, subject: str, text: str) -> None:
        """Send a mail.

        Raises:
            OSError: it could not be handed over.
        """


class Smtp(msgspec.Struct, frozen=True, kw_only=True):
    """A server for mail.

    Attributes:
        host: its name.
        port: its port.
        sender: the address that mails come from.
        username: for logging in; None: none is needed.
        password: the same; never shown.
        security: `starttls`, `tls`, or `none` for a server on this machine.
        seconds: how long a server may take to answer.
    """

    host: str
    port: int = 587
    sender: str = "voltagora@localhost"
    username: str | None = None
    password: str = ""
    security: Literal["starttls", "tls", "none"] = "starttls"
    seconds: float = 10.0

    def __repr__(self) -> str:
        return f"Smtp({self.host}:{self.port}, {self.security})"

    def send(self, to: str, subject: str, text: str) -> None:
        """See `Mailer`."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, to, subject
        message.set_content(text)
        context = ssl.create_default_context()
        if self.security == "tls":
            with smtplib.SMTP_SSL(self.host, self.port, timeout=self.seconds, context=context) as server:
                self._hand_over(server, message)
            return
        with smtplib.SMTP(self.host, self.port, timeout=self.seconds) as server:
            if self.security == "starttls":
                server.starttls(context=context)
            self._hand_over(server, message)

    def _hand_over(self, server: smtplib.SMTP, message: EmailMessage) -> None:
        if self.username is not None:
            server.login(self.username, self.password)
        server.send_message(message)
