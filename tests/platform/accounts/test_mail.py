"""Confirmation by mail, with a server that only listens."""

from __future__ import annotations

import email
import re
import socketserver
import threading
from collections.abc import Iterator
from email.policy import default
from pathlib import Path

import pytest
from accounts_stage import FAR, bearer, the_accounts
from registry_stage import Wall, a_registry

from voltagora.platform.accounts.mail import Smtp
from voltagora.platform.registry.entities import TokenKind
from voltagora.platform.registry.refusals import Refusal


class FakeSmtp(socketserver.ThreadingTCPServer):
    """Takes mails as RFC 5321 says, and keeps them."""

    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[str] = []
        super().__init__(("127.0.0.1", 0), Conversation)


class Conversation(socketserver.StreamRequestHandler):
    server: FakeSmtp

    def handle(self) -> None:
        self.wfile.write(b"220 fake\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (each := self.rfile.readline()) != b".\r\n":
                    lines.append(each)
                self.server.mails.append(b"".join(lines).decode())
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 fine\r\n")


@pytest.fixture
def server() -> Iterator[FakeSmtp]:
    with FakeSmtp() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def link(text: str) -> str:
    words = email.message_from_string(text, policy=default).get_content()
    found = re.search(r"https://platform.example.org/accounts/confirm/(\S+)", words)
    assert found is not None
    return found[1]


def test_who_registers_is_let_in_after_opening_the_link(server: FakeSmtp, tmp_path: Path) -> None:
    wall = Wall()
    with a_registry(tmp_path, wall=wall) as registry:
        mailer = Smtp(host="127.0.0.1", port=server.server_address[1], security="none")
        accounts = the_accounts(registry, wall, mailer)
        _, access = accounts.register("a", "a@example.org", "secret of a")
        for attempt in (
            lambda: accounts.login("a", "secret of a", FAR),
            lambda: accounts.caller(bearer(access)),
        ):
            with pytest.raises(Refusal, match="Please confirm"):
                attempt()
        assert accounts.entrance.enter("a", "secret of a", FAR) is None
        _, secret = registry.create_token(1, TokenKind.DEVICE, "t")
        assert accounts.entrance.enter("a", secret, FAR) is None
        assert accounts._post is not None
        accounts._post.submit(int).result()
        (first,) = server.mails  # one, however often somebody tries within the minute
        message = email.message_from_string(first, policy=default)
        assert message["To"] == "a@example.org"

        with pytest.raises(Refusal):
            accounts.confirm(access)
        assert accounts.confirm(link(first)).confirmed_at == int(wall.at)
        assert accounts.login("a", "secret of a", FAR)
        assert accounts.entrance.enter("a", "secret of a", FAR) == "a"
        assert accounts.entrance.enter("a", secret, FAR) == "a+1"

        wall.at += 120
        accounts.change(1, "other@example.org", None)
        with pytest.raises(Refusal, match="changed since"):
            accounts.confirm(link(first))
        accounts.close()
    assert len(server.mails) == 2


def test_a_mail_that_cannot_be_sent_refuses_nothing_and_tells_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def send(self, to: str, subject: str, text: str) -> None:
            raise ConnectionRefusedError(text)

    with a_registry(tmp_path) as registry:
        accounts = the_accounts(registry, Wall(), Broken())
        accounts.register("a", "a@example.org", "secret of a")
        accounts.close()
    assert "mail to user a could not be sent: ConnectionRefusedError" in caplog.text
    assert "/confirm/" not in caplog.text


def test_the_password_of_the_mail_server_is_not_shown() -> None:
    assert "hush" not in repr(Smtp(host="h", username="u", password="hush"))
