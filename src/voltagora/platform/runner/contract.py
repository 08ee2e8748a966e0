"""What a service finds when it starts: the contract's environment, and nothing else."""

from __future__ import annotations

from typing import Final

import msgspec

from voltagora.platform.registry.entities import Service
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner.interface import Credential

PATH: Final = "/venv/bin:/usr/local/bin:/usr/bin:/bin"
INSIDE_BROKER: Final = "127.0.0.1"
MOST_PARAMS_BYTES: Final = 64 * 1024
_NOT_JSON: Final = (
    "JSON encoding required. Properties should be enclosed in double quotes. "
    'Example: { "temperature": 23, "humidity": 60 }'
)


def checked_params(text: str) -> str:
    """Give run parameters, trimmed.

    Raises:
        Refusal: 400, they are neither empty nor JSON.
    """
    trimmed = text.strip()
    if not trimmed:
        return ""
    try:
        encoded = trimmed.encode()
        if len(encoded) > MOST_PARAMS_BYTES:
            raise Refusal(400, f"run_params: longer than {MOST_PARAMS_BYTES} bytes")
        msgspec.json.decode(encoded)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Refusal(400, _NOT_JSON) from None
    return trimmed


def client_name(image: str, instance: int) -> str:
    """Give the name to connect with; instances put each other out if they share one."""
    return f"{image}_client" if instance == 1 else f"{image}_{instance}_client"


def environment(
    service: Service, credential: Credential, run_params: str, client: str, extra: dict[str, str]
) -> dict[str, str]:
    """Give all that a service finds in its environment.

    Args:
        service: its topics, by position.
        credential: its own.
        run_params: checked.
        client: name to connect with.
        extra: what its Dockerfile sets.
    """
    topics = {f"in_topic_{number}": topic.name for number, topic in enumerate(service.input_topics, 1)}
    topics |= {f"out_topic_{number}": topic.name for number, topic in enumerate(service.output_topics, 1)}
    return {
        "LANG": "C.UTF-8",
        "HOME": "/tmp",  # noqa: S108 - of the sandbox
        **extra,
        "PATH": PATH,
        "username": credential.username,
        "password": credential.password,
        "run_params": run_params,
        "BROKER": INSIDE_BROKER,
        "CLIENT_NAME": client,
        **topics,
    }
