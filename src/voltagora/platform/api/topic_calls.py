"""Calls about topics and the rights to them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends

from voltagora.platform.accounts.accounts import Caller
from voltagora.platform.api import schemas
from voltagora.platform.api.bodies import Given, given
from voltagora.platform.api.callers import Callers, Id
from voltagora.platform.api.platform_parts import Parts
from voltagora.platform.api.replies import Reply
from voltagora.platform.api.schemas import failing, takes
from voltagora.platform.registry.entities import Topic, TopicDraft, TopicRight, Visibility
from voltagora.platform.registry.part import NO_TOPIC
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.shapes import right_json, topic_json

LACKS_ONTOLOGY = "Missing required parameter in the JSON body or the post body or the query string"


def topic_calls(parts: Parts, callers: Callers) -> APIRouter:
    """Make the calls."""
    calls = APIRouter(tags=["topics"])
    registry, lists = parts.registry, parts.lists

    @calls.get("/topics/ontology", response_model=schemas.Names, responses=failing(400))
    def datatypes() -> Reply:
        """List the datatypes that may stand under `topic_ontology`."""
        return Reply({"data": pick(lists.datatypes)})

    @calls.get("/topics", response_model=list[schemas.Topic], responses=failing(401))
    def search(
        name: str = "",
        description: str = "",
        topic_ontology: str = "",
        term: str = "",
        caller: Caller = Depends(callers.anybody),
    ) -> Reply:
        """Find topics in which all the given parts stand; `term` in any field."""
        found = registry.topics(name=name, description=description, topic_ontology=topic_ontology, term=term)
        return Reply([topic_json(topic) for topic in found])

    @calls.post(
        "/topics",
        status_code=201,
        response_model=schemas.Topic,
        responses=failing(400, 401),
        openapi_extra=takes(name=str, description=str, topic_ontology_=str, visibility=str),
    )
    def create(caller: Caller = Depends(callers.anybody), body: Given = Depends(given)) -> Reply:
        """Register a topic; whoever does may subscribe and publish."""
        if not body.has("topic_ontology"):
            raise Refusal(400, {"topic_ontology": LACKS_ONTOLOGY})
        draft = TopicDraft(
            name=body.text("name") or "",
            description=body.text("description") or "",
            topic_ontology=body.text("topic_ontology") or "",
        )
        visibility = body.visibility() or Visibility.OPEN
        return Reply(topic_json(registry.create_topic(caller.user.id, draft, visibility=visibility)), 201)

    _one(calls, parts, callers)
    _of_user(calls, parts, callers)
    _rights(calls, parts, callers)
    return calls


def _one(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    registry = parts.registry

    @calls.get("/topics/{t:int}", response_model=schemas.OwnedTopic, responses=failing(401, 404))
    def show(t: Id, caller: Caller = Depends(callers.anybody)) -> Reply:
        """Show a topic with its owner."""
        topic = registry.find_topic(t)
        if topic is None:
            raise Refusal(404, NO_TOPIC)
        return Reply(_owned_json(topic))

    @calls.put(
        "/topics/{t:int}",
        response_model=schemas.OwnedTopic,
        responses=failing(400, 401, 404),
        openapi_extra=takes(description=str, topic_ontology=str, visibility=str),
    )
    def change(t: Id, caller: Caller = Depends(callers.anybody), body: Given = Depends(given)) -> Reply:
        """Change what is said of a topic, or whom it lets in; by its owner."""
        changed = registry.change_topic(
            caller.user.id,
            t,
            description=body.text("description"),
            topic_ontology=body.text("topic_ontology"),
            visibility=body.visibility(),
        )
        return Reply(_owned_json(changed))


def _of_user(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    registry = parts.registry
    failures = failing(401, 403, 404)

    @calls.get("/users/{u:int}/topics", response_model=list[schemas.TopicRight], responses=failures)
    def mine(u: Id, type: str = "", caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """List the topics one has a right to: `sub`, `pub`, or either."""
        return Reply([right_json(right) for right in registry.user_topics(u, type)])

    @calls.get("/users/{u:int}/topics/{t:int}", response_model=schemas.TopicRight, responses=failures)
    def right(u: Id, t: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """Show one's right to a topic."""
        return Reply(right_json(registry.user_topic(u, t)))

    @calls.put(
        "/users/{u:int}/topics/{t:int}", status_code=201, response_model=schemas.Topic, responses=failures
    )
    def ask(u: Id, t: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """Ask for the right to subscribe."""
        return Reply(topic_json(registry.ask_to_subscribe(u, t)), 201)

    @calls.delete("/users/{u:int}/topics/{t:int}", response_model=str, responses=failures)
    def delete(u: Id, t: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """Delete a topic; by its owner."""
        registry.delete_topic(u, t)
        return Reply("Topic deleted")


def _rights(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    registry, failures = parts.registry, failing(400, 401, 404)

    @calls.get("/topics/{t:int}/rights", response_model=list[schemas.Right], responses=failures)
    def rights(t: Id, caller: Caller = Depends(callers.anybody)) -> Reply:
        """List who may do what with a topic, and who waits; for its owner."""
        return Reply([_right_json(right) for right in registry.rights_of_topic(caller.user.id, t)])

    @calls.put(
        "/topics/{t:int}/rights/{username}",
        response_model=schemas.Right,
        responses=failures,
        openapi_extra=takes(can_sub=bool, can_pub=bool),
    )
    def grant(
        t: Id, username: str, caller: Caller = Depends(callers.anybody), body: Given = Depends(given)
    ) -> Reply:
        """Grant or take back single rights; what is left out stays as it is. By the owner."""
        can_sub, can_pub = body.yes("can_sub"), body.yes("can_pub")
        if can_sub is None and can_pub is None:
            raise Refusal(400, {"can_sub": "This field is required."})
        right = registry.decide(caller.user.id, t, username, sub=can_sub, pub=can_pub)
        return Reply(_right_json(right))

    @calls.delete("/topics/{t:int}/rights/{username}", response_model=schemas.Right, responses=failures)
    def revoke(t: Id, username: str, caller: Caller = Depends(callers.anybody)) -> Reply:
        """Take all rights to a topic back; by its owner."""
        return Reply(_right_json(registry.revoke(caller.user.id, t, username)))


def pick(names: Any) -> list[str]:
    """Read a pick list.

    Raises:
        Refusal: 400, the store is down.
    """
    try:
        return list(names())
    except OSError:
        raise Refusal(400, "The ontology cannot be asked now.") from None


def _owned_json(topic: Topic) -> dict[str, Any]:
    return {**topic_json(topic), "owner": topic.owner, "visibility": topic.visibility.value}


def _right_json(right: TopicRight) -> dict[str, Any]:
    return {
        "username": right.username,
        "can_sub": right.can_sub,
        "can_pub": right.can_pub,
        "asked": right.asked,
    }
