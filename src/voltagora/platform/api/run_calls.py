"""Calls about what services do: upload, build, start, stop, status, log. By their owner only."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, Response

from voltagora.platform.accounts.accounts import Caller
from voltagora.platform.api.bodies import Given, given
from voltagora.platform.api.callers import Callers, Id, address_of
from voltagora.platform.api.platform_parts import Parts
from voltagora.platform.api.replies import Reply
from voltagora.platform.api.schemas import failing, takes, takes_file
from voltagora.platform.registry.entities import Service
from voltagora.platform.registry.refusals import Refusal, missing
from voltagora.platform.runner.interface import Log, Restart

MOST_INSTANCE: Final = 1_000
_PIECE_BYTES: Final = 256 * 1024
_PASSWORD: Final = re.compile(r"\s*--?p(?:assword)?(?:\s+|=)")


def run_calls(parts: Parts, callers: Callers) -> APIRouter:
    """Make the calls."""
    calls = APIRouter(prefix="/users/{u:int}/services/{s:int}", tags=["runs"])
    failures = failing(400, 401, 403, 404)

    async def owned(s: Id, caller: Caller = Depends(callers.owner_of_path)) -> Service:
        unknown = Refusal(404, "Bad luck. No such service.")
        return await run_in_threadpool(parts.registry.owned_service, caller.user.id, s, unknown)

    async def logged(s: Id, caller: Caller = Depends(callers.owner_of_path)) -> Service:
        unknown = Refusal(400, "No such service exists")
        return await run_in_threadpool(parts.registry.owned_service, caller.user.id, s, unknown)

    async def noted(service: Service, action: str) -> None:
        subject = f"service {service.name}"
        await run_in_threadpool(parts.registry.note, service.owner, action, subject)

    @calls.post(
        "/uploads",
        status_code=201,
        response_model=int,
        responses=failures,
        openapi_extra=takes_file("service_file"),
    )
    async def upload(request: Request, u: Id, service: Service = Depends(owned)) -> Reply:
        """Put a file, or the files of an archive, into a service's folder."""
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            raise missing("service_file")
        async with request.form(max_files=1, max_fields=10) as form:
            file = form.get("service_file")
            if not isinstance(file, UploadFile) or not file.filename:
                raise missing("service_file")
            await parts.runner.upload(service, file.filename, _pieces(file))
        await noted(service, "upload")
        return Reply(service.id, 201)

    @calls.post(
        "/dockerImage",
        status_code=201,
        response_model=int,
        responses=failures,
        openapi_extra=takes(nearest_python=bool, nearest_pins=bool),
    )
    async def build(u: Id, service: Service = Depends(owned), body: Given = Depends(given)) -> Reply:
        """Build what was uploaded; by choice with the nearest Python and later versions of pins."""
        await parts.runner.build(
            service,
            nearest_python=bool(body.yes("nearest_python")),
            nearest_pins=bool(body.yes("nearest_pins")),
        )
        await noted(service, "build")
        return Reply(service.id, 201)

    @calls.get("/status", response_model=bool, responses=failures)
    async def status(u: Id, service: Service = Depends(owned)) -> Reply:
        """Say whether a service runs."""
        return Reply(parts.runner.is_running(service))

    @calls.post(
        "/status",
        response_model=int,
        responses=failures,
        openapi_extra=takes(password=str, run_params=str, serviceArgs=str, instance=int, restart=str),
    )
    async def start(
        request: Request,
        u: Id,
        service: Service = Depends(owned),
        body: Given = Depends(given),
    ) -> Reply:
        """Start a service; the account's password is asked once more."""
        password, run_params = _password_and_params(body)
        check = parts.accounts.entrance.check
        user = await run_in_threadpool(check, service.owner, password, address_of(request))
        if user is None:
            raise Refusal(401, "Invalid Credentials")
        instance, restart = _instance(body.number("instance")), _restart(body.text("restart"))
        await parts.runner.start(service, run_params, instance=instance or 1, restart=restart)
        await noted(service, "start")
        return Reply(service.id)

    @calls.delete("/status", response_model=int, responses=failures)
    async def stop(u: Id, instance: int | None = None, service: Service = Depends(owned)) -> Reply:
        """Stop a service, or one of its instances."""
        await parts.runner.stop(service, instance=_instance(instance))
        await noted(service, "stop")
        return Reply(service.id)

    @calls.get(
        "/logFile",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **failures},
    )
    async def log(u: Id, service: Service = Depends(logged)) -> Response:
        """Get a service's log."""
        return handed_out(await parts.runner.log(service))

    return calls


def handed_out(log: Log) -> Response:
    """Answer with a log, as text and nothing else."""
    said = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return FileResponse(log.path, media_type="text/plain", filename=log.name, headers=said)


def _instance(number: int | None) -> int | None:
    if number is not None and not 1 <= number <= MOST_INSTANCE:
        raise Refusal(400, {"instance": f"Must be 1 to {MOST_INSTANCE}."})
    return number


def _restart(word: str | None) -> Restart:
    if word and word not in tuple(Restart):
        raise Refusal(400, {"restart": f"Must be {', '.join(Restart)}."})
    return Restart(word) if word else Restart.NEVER


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(_PIECE_BYTES):
        yield piece


def _password_and_params(body: Given) -> tuple[str, str]:
    """Read both as they are, or as one client writes them: `--p <password> <params>`."""
    arguments = body.text("serviceArgs")
    if arguments and not body.has("password"):
        found = _PASSWORD.match(arguments)
        password, _, rest = arguments[found.end() if found else 0 :].strip().partition(" ")
        return password, rest.strip()
    return body.required("password")[0], body.text("run_params") or ""
