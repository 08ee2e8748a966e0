"""`voltagora conform` answers with a table or JSON, and its exit code says how it went."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from typer.testing import CliRunner

from voltagora import Hub
from voltagora.cli.main import app

ARGUMENTS = {
    "kind": ["stations", "--id", "x", "--broker", "mqtt://127.0.0.1"],
    "--id": ["station", "--id", "not an id", "--broker", "mqtt://127.0.0.1"],
    "broker": ["station", "--id", "x", "--broker", "127.0.0.1"],
    "--time-zone": ["station", "--id", "x", "--broker", "mqtt://127.0.0.1", "--time-zone", "Nowhere"],
}


@pytest.mark.parametrize("field", ARGUMENTS)
def test_bad_arguments_are_named(field: str) -> None:
    done = CliRunner().invoke(app, ["conform", *ARGUMENTS[field]])

    assert done.exit_code == 2
    assert done.stderr.startswith(f"{field}: got ")


def test_an_agent_that_is_not_there_fails(tmp_path) -> None:
    async def run() -> tuple[int | None, bytes, bytes]:
        async with Hub(mqtt="127.0.0.1:0") as hub:
            url = f"mqtt://127.0.0.1:{hub.mqtt_port}"
            words = ["conform", "producer", "--id", "nobody", "--broker", url, "--wait", "0.5"]
            table, answer = await asyncio.gather(called(*words), called(*words, "--json"))
            assert table[0] == 1
            return answer[0], table[1], answer[1]

    code, table, answer = asyncio.run(run())

    assert code == 1
    assert b"1 missing" in table
    assert b"not checked" in table
    findings = json.loads(answer)
    assert not findings["conformant"]
    assert findings["summary"]["missing"] == 1
    assert {it["verdict"] for it in findings["findings"]} == {"missing", "not checked"}


async def called(*words: str) -> tuple[int | None, bytes]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from voltagora.cli.main import main; main()", *words),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, output
