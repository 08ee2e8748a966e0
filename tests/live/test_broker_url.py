"""A broker's address: read exactly, refused in words, and silent about its password."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mqtt_stage import Authority

from brokers import program
from voltagora.domain.errors import InputError
from voltagora.live.broker_url import BrokerUrl, Tls, from_environment


@pytest.mark.parametrize(
    ("text", "host", "port", "user", "password"),
    [
        ("mqtt://h", "h", 1883, None, None),
        ("mqtts://h", "h", 8883, None, None),
        ("mqtt://h:5/", "h", 5, None, None),
        ("mqtt://a:b@h:5", "h", 5, "a", "b"),
        ("mqtt://a@h", "h", 1883, "a", None),
        ("mqtt://a%40b:c%2Fd%3A@h", "h", 1883, "a@b", "c/d:"),
        ("mqtt://[::1]:7", "::1", 7, None, None),
    ],
)
def test_an_address_is_read(text: str, host: str, port: int, user: str | None, password: str | None) -> None:
    url = BrokerUrl.parse(text)
    assert (url.host, url.port, url.user, url.password) == (host, port, user, password)
    assert (url.tls is not None) == text.startswith("mqtts")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h",
        "h:1",
        "http://h",
        "mqtt://",
        "mqtt://h:0",
        "mqtt://h:70000",
        "mqtt://h:x",
        "mqtt://h/x",
        "mqtt://h?x=1",
        "mqtt://h#x",
        "mqtt://a..b",
        "mqtt://[::1",
        "mqtt//a:b@h",
        "ws://h",
    ],
)
def test_what_is_no_address_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match=r"broker: got .*, must be mqtt://user:password@host:port"):
        BrokerUrl.parse(text)


@given(st.text(min_size=6, max_size=20).filter(lambda secret: secret not in "mqtt://user:password@host:port"))
def test_the_password_is_read_and_never_shown(secret: str) -> None:
    url = BrokerUrl.parse(f"mqtt://me:{quote(secret, safe='')}@host")
    assert url.password == secret
    assert secret not in f"{url} {url!r} {[url]}"


@pytest.mark.parametrize(
    "form",
    [
        "mqtt://me:{}",
        "me:{}@host",
        "mqtt:/me:{}@host",
        "mqtt//me:{}@host",
        "mqtt://me:{}@host:x",
        "me:{}",
        "mqtt://me:{}@host/x",
        "http://me:{}@host",
        "mqtt://me:{}/x@host",
        "mqtt://me:{}#x@host",
        "{}://me:x@h",
        "mqtt://me:x@{}@host:x",
    ],
)
def test_no_error_repeats_a_password(form: str) -> None:
    with pytest.raises(InputError) as caught:
        BrokerUrl.parse(form.format("hunter2"))
    assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(caught.value.got)


def test_who_we_are_can_stand_in_the_environment() -> None:
    service = {"username": "me", "password": "secret"}
    assert from_environment(service) == ("me", "secret")
    assert from_environment({"username": ""}) == (None, None)
    url = BrokerUrl.parse("mqtt://h", service)
    assert (url.user, url.password) == ("me", "secret")
    url = BrokerUrl.parse("mqtt://you:other@h", service)
    assert (url.user, url.password) == ("you", "other")


def test_a_password_is_not_shown_to_a_broker_under_another_name() -> None:
    assert BrokerUrl.parse("mqtt://you@h", {"username": "me", "password": "secret"}).password is None
    assert BrokerUrl.parse("mqtt://me@h", {"username": "me", "password": "secret"}).password == "secret"
    assert BrokerUrl.parse("mqtt://me@h", {"password": "secret"}).password == "secret"


def test_the_broker_is_always_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.certify("me")
    for tls in (Tls(), Tls(ca=authority.ca), Tls(ca=authority.ca, cert=cert, key=key)):
        context = tls.context()
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    cert, key = Authority(tmp_path).certify("me")
    for tls, field in [
        (Tls(ca=nothing), "--ca"),
        (Tls(ca=text), "--ca"),
        (Tls(cert=cert), "--cert"),
        (Tls(key=key), "--cert"),
        (Tls(cert=nothing, key=key), "--cert"),
        (Tls(cert=cert, key=text), "--cert"),
    ]:
        with pytest.raises(InputError, match=f"^{field}: "):
            tls.context()


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).certify("me")
    locked = tmp_path / "locked.key"
    command = [
        program("openssl"),
        "ec",
        "-in",
        str(key),
        "-aes256",
        "-passout",
        "pass:abcd",
        "-out",
        str(locked),
    ]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(InputError, match="the key has a passphrase; give one without"):
        Tls(cert=cert, key=locked).context()


def test_certificates_are_of_no_use_without_tls(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mqtts://"):
        BrokerUrl.parse("mqtt://h", tls=Tls(ca=tmp_path))
