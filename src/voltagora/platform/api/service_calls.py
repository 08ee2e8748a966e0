"""Calls about services: found, registered, changed, duplicated, subscribed to, exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from voltagora.platform.accounts.accounts import Caller
from voltagora.platform.api import schemas
from voltagora.platform.api.bodies import Given, given
from voltagora.platform.api.callers import Callers, Id
from voltagora.platform.api.platform_parts import Parts
from voltagora.platform.api.replies import Reply
from voltagora.platform.api.schemas import failing, takes, takes_file
from voltagora.platform.api.topic_calls import pick
from voltagora.platform.registry.entities import Service, ServiceDraft, Subscriber, TopicDraft, Visibility
from voltagora.platform.registry.refusals import Refusal, missing
from voltagora.platform.registry.shapes import extended_json, service_json

_TOPICS: Final = {"type": "array", "items": schemas.TopicWish.model_json_schema()}
_WISH: Final = takes(
    name_=str,
    description=str,
    service_type=str,
    service_ontology=str,
    location=str,
    input_topics=_TOPICS,
    output_topics=_TOPICS,
    visibility=str,
)


def service_calls(parts: Parts, callers: Callers) -> APIRouter:
    """Make the calls."""
    calls = APIRouter(tags=["services"])
    registry, lists = parts.registry, parts.lists

    @calls.get("/services/ontology", response_model=schemas.Names, responses=failing(400))
    def classes() -> Reply:
        """List the classes that may stand under `service_ontology`."""
        return Reply({"data": pick(lists.service_classes)})

    @calls.get("/services", response_model=list[schemas.ManagedService])
    def search(name: str = "", description: str = "", service_ontology: str = "", term: str = "") -> Reply:
        """Find services in which all the given parts stand; `term` in any field. Open to all."""
        found = registry.services(
            name=name, description=description, service_ontology=service_ontology, term=term
        )
        return Reply([managed_json(parts, service) for service in found])

    @calls.post(
        "/services",
        status_code=201,
        response_model=schemas.ExtendedService,
        responses=failing(400, 401),
        openapi_extra=_WISH,
    )
    def create(caller: Caller = Depends(callers.anybody), body: Given = Depends(given)) -> Reply:
        """Register a service and those of its topics that are new."""
        visibility = body.visibility() or Visibility.OPEN
        made = registry.create_service(caller.user.id, draft_of(body), visibility=visibility)
        return Reply(extended_json(made), 201)

    _one(calls, parts, callers)
    _of_user(calls, parts, callers)
    _exchange(calls, parts, callers)
    _subscribers(calls, parts, callers)
    return calls


def _one(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    registry, path = parts.registry, "/services/{s:int}"

    @calls.get(path, response_model=schemas.OneService, responses=failing(401, 404))
    def show(s: Id, caller: Caller = Depends(callers.anybody)) -> Reply:
        """Show a service with its subscribers."""
        service = registry.find_service(s)
        if service is None:
            raise Refusal(404, "Invalid Service.")
        who = [each.username for each in registry.subscribers(s) if each.active]
        return Reply({"data": {**extended_json(service), "subscribers": who}})

    @calls.put(
        path,
        response_model=schemas.ExtendedService,
        responses=failing(400, 401),
        openapi_extra=_WISH,
    )
    def update(s: Id, caller: Caller = Depends(callers.anybody), body: Given = Depends(given)) -> Reply:
        """Change a service; by its owner."""
        changed = registry.update_service(caller.user.id, s, draft_of(body), visibility=body.visibility())
        return Reply(extended_json(changed))

    @calls.post(
        path,
        status_code=201,
        response_model=schemas.ExtendedService,
        responses=failing(400, 401),
        openapi_extra=_WISH,
    )
    async def duplicate(
        s: Id, caller: Caller = Depends(callers.anybody), body: Given = Depends(given)
    ) -> Reply:
        """Make a service of one's own out of another that one subscribes to, files included."""
        source = await run_in_threadpool(registry.find_service, s)
        made = await run_in_threadpool(registry.duplicate_service, caller.user.id, s, draft_of(body))
        assert source is not None
        await parts.runner.copy_files(source, made)
        return Reply(extended_json(made), 201)

    @calls.delete(path, response_model=str, responses=failing(400, 401))
    async def delete(s: Id, caller: Caller = Depends(callers.anybody)) -> Reply:
        """Delete a service and its folder; its topics stay. By its owner."""
        service = await run_in_threadpool(registry.find_service, s)
        await run_in_threadpool(registry.delete_service, caller.user.id, s)
        assert service is not None
        await parts.runner.remove(service)
        return Reply("Service deleted")


def _of_user(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    registry, failures = parts.registry, failing(401, 403, 404)

    @calls.get("/users/{u:int}/services", response_model=list[schemas.Service], responses=failures)
    def subscribed(u: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """List the services one subscribes to."""
        return Reply([service_json(service) for service in registry.services_subscribed(u)])

    @calls.get(
        "/users/{u:int}/services/ownership",
        response_model=list[schemas.ManagedService],
        responses=failures,
    )
    def owned(u: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """List one's own services."""
        return Reply([managed_json(parts, service) for service in registry.services_owned(u)])

    @calls.get("/users/{u:int}/services/{s:int}", response_model=schemas.MyService, responses=failures)
    def show(u: Id, s: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """Show a service and whether one subscribes to it."""
        service = registry.find_service(s)
        if service is None:
            raise Refusal(404, "Bad luck. No such service.")
        return Reply({**managed_json(parts, service), "subscriber": registry.is_subscriber(u, s)})

    @calls.put(
        "/users/{u:int}/services/{s:int}",
        status_code=201,
        response_model=schemas.SubscribedService,
        responses=failures,
    )
    def subscribe(u: Id, s: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """Ask for a service: the right to subscribe to all its outputs."""
        service, active = registry.subscribe_to_service(u, s)
        return Reply({**extended_json(service), "subscriber": active}, 201)


def _exchange(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    registry, failures = parts.registry, failing(400, 401, 403, 404)
    paths = ("/users/{u:int}/exportServices", "/users/{u:int}/services/{s:int}/exportServices")

    def export(u: Id, caller: Caller = Depends(callers.owner_of_path)) -> Response:
        """Write one's services to a file."""
        said = {
            "Content-Disposition": "attachment; filename=services_export.txt",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(registry.export_services(u), media_type="text/plain", headers=said)

    async def take(request: Request, u: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """Register all services of a file, or none."""
        text = await _file(request, parts.registry.quotas.import_bytes)
        await run_in_threadpool(registry.import_services, u, text)
        return Reply("Services created")

    for path, main in zip(paths, (True, False), strict=True):
        calls.add_api_route(
            path, export, methods=["GET"], responses={200: {"content": {"text/plain": {}}}, **failures},
            response_class=Response, include_in_schema=main,
        )  # fmt: skip
        calls.add_api_route(
            path, take, methods=["POST"], response_model=str, responses=failures, include_in_schema=main,
            openapi_extra=takes_file("services_import_file"),
        )  # fmt: skip


def _subscribers(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    registry, failures = parts.registry, failing(400, 401, 404)

    @calls.get("/services/{s:int}/subscribers", response_model=list[schemas.Subscriber], responses=failures)
    def subscribers(s: Id, caller: Caller = Depends(callers.anybody)) -> Reply:
        """List who subscribes to a service and who waits; for its owner."""
        registry.owned_service(caller.user.id, s)
        return Reply([_subscriber_json(each) for each in registry.subscribers(s)])

    @calls.put(
        "/services/{s:int}/subscribers/{username}",
        response_model=schemas.Subscriber,
        responses=failures,
    )
    def grant(s: Id, username: str, caller: Caller = Depends(callers.anybody)) -> Reply:
        """Let a user into a service; by its owner."""
        return Reply(_subscriber_json(registry.grant_service(caller.user.id, s, username)))

    @calls.delete(
        "/services/{s:int}/subscribers/{username}", response_model=schemas.Subscriber, responses=failures
    )
    def revoke(s: Id, username: str, caller: Caller = Depends(callers.anybody)) -> Reply:
        """Put a user out of a service; by its owner."""
        registry.revoke_service(caller.user.id, s, username)
        return Reply(_subscriber_json(Subscriber(service_id=s, username=username, active=False)))

    @calls.put(
        "/services/{s:int}/visibility",
        response_model=schemas.ExtendedService,
        responses=failures,
        openapi_extra=takes(visibility_=str),
    )
    def visibility(s: Id, caller: Caller = Depends(callers.anybody), body: Given = Depends(given)) -> Reply:
        """Say whether a service lets everybody in; by its owner."""
        wanted = body.visibility()
        if wanted is None:
            raise missing("visibility")
        return Reply(extended_json(registry.set_service_visibility(caller.user.id, s, wanted)))


def managed_json(parts: Parts, service: Service) -> dict[str, Any]:
    """Show a service with what it does now."""
    return {
        **extended_json(service),
        "service_image_built": parts.runner.is_built(service),
        "service_is_running": parts.runner.is_running(service),
    }


def draft_of(body: Given) -> ServiceDraft:
    """Read a service as somebody wishes it.

    Raises:
        Refusal: 400 by field.
    """
    if not body.has("name"):
        raise missing("name")
    fields = ("name", "description", "service_type", "service_ontology", "location")
    return ServiceDraft(
        **{field: body.text(field) or "" for field in fields},
        input_topics=tuple(_topic(each, "input_topics") for each in body.objects("input_topics")),
        output_topics=tuple(_topic(each, "output_topics") for each in body.objects("output_topics")),
    )


def _topic(entry: Mapping[str, Any], field: str) -> TopicDraft:
    try:
        given = Given(entry)
        return TopicDraft(
            name=given.text("name") or "",
            description=given.text("description") or "",
            topic_ontology=given.text("topic_ontology") or "",
        )
    except Refusal:
        raise Refusal(400, {field: "Not a valid list of topics."}) from None


async def _file(request: Request, most: int) -> bytes:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise missing("services_import_file")
    async with request.form(max_files=1, max_fields=10) as form:
        file = form.get("services_import_file") or form.get("service_import_file")
        if not isinstance(file, UploadFile):
            raise missing("services_import_file")
        return await file.read(most + 1)


def _subscriber_json(each: Subscriber) -> dict[str, Any]:
    return {"username": each.username, "active": each.active, "asked": each.asked}
