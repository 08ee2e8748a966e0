"""Calls of ours about what services do: instances, builds, files, live logs. By their owner only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from voltagora.platform.accounts.accounts import Caller
from voltagora.platform.api import schemas
from voltagora.platform.api.callers import Callers, Id
from voltagora.platform.api.platform_parts import Parts
from voltagora.platform.api.replies import Reply
from voltagora.platform.api.run_calls import handed_out
from voltagora.platform.api.schemas import failing
from voltagora.platform.registry.entities import Service


def build_calls(parts: Parts, callers: Callers) -> APIRouter:
    """Make the calls."""
    calls = APIRouter(prefix="/users/{u:int}/services/{s:int}", tags=["runs"])
    runner, failures = parts.runner, failing(400, 401, 403, 404)
    text = {200: {"content": {"text/plain": {}}}, **failures}

    async def owned(s: Id, caller: Caller = Depends(callers.owner_of_path)) -> Service:
        return await run_in_threadpool(parts.registry.owned_service, caller.user.id, s)

    @calls.get("/run", response_model=schemas.Running, responses=failures)
    async def run(u: Id, service: Service = Depends(owned)) -> Reply:
        """Say whether a service runs, has subscribed, how its limits hold, and what each instance does."""
        newest = await runner.run_of(service)
        ready, limits = (newest.ready, newest.limits) if newest is not None else (False, {})
        instances = [_json(each) for each in runner.runs(service)]
        told = {"running": newest is not None, "ready": ready, "limits": limits}
        return Reply({**told, "instances": instances})

    @calls.get("/builds", response_model=list[schemas.Build], responses=failures)
    async def builds(u: Id, service: Service = Depends(owned)) -> Reply:
        """List the builds that are kept, the newest first."""
        return Reply([_json(each) for each in runner.builds(service)])

    @calls.put("/builds/{version:int}", response_model=int, responses=failures)
    async def roll_back(u: Id, version: Id, service: Service = Depends(owned)) -> Reply:
        """Let the next start take another build."""
        await runner.roll_back(service, version)
        subject = f"service {service.name}"
        await run_in_threadpool(parts.registry.note, service.owner, "roll_back", subject, f"build {version}")
        return Reply(service.id)

    @calls.get("/buildLog", response_class=Response, responses=text)
    async def build_log(u: Id, service: Service = Depends(owned)) -> Response:
        """Get what the last build said."""
        return handed_out(await runner.build_log(service))

    @calls.get(
        "/logStream",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}, **failures},
    )
    async def log_stream(u: Id, instance: int = 1, service: Service = Depends(owned)) -> StreamingResponse:
        """Get what an instance prints, line by line, as server-sent events, until it ends."""
        events = _events(runner.follow(service, instance=instance))
        said = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return StreamingResponse(events, media_type="text/event-stream", headers=said)

    @calls.get("/files", response_model=list[str], responses=failures)
    async def files(u: Id, service: Service = Depends(owned)) -> Reply:
        """List what was uploaded."""
        return Reply(list(await runner.files(service)))

    @calls.delete("/files/{name:path}", response_model=int, responses=failures)
    async def remove_file(u: Id, name: str, service: Service = Depends(owned)) -> Reply:
        """Remove one uploaded file."""
        await runner.remove_file(service, name)
        return Reply(service.id)

    return calls


def _json(value: msgspec.Struct) -> Any:
    return msgspec.to_builtins(value)


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for line in lines:
        # A carriage return would end the field and let a service write events of its own.
        kept = line.rstrip("\r\n").replace("\r", "\ufffd").replace("\n", "\ufffd")
        yield f"data: {kept}\n\n".encode("utf-8", "replace")
