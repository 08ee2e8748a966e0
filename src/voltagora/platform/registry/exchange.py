"""Services as one JSON file: written, and read as a whole or not at all."""

from __future__ import annotations

import json
from typing import Any, Final

import sqlalchemy as sa

from voltagora.platform.registry import strict_json, tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import Service, ServiceDraft, TopicDraft, Visibility
from voltagora.platform.registry.refusals import Refusal, quota
from voltagora.platform.registry.service_topics import Permitted, existing_ids
from voltagora.platform.registry.services import Services
from voltagora.platform.registry.shapes import extended_json

_TEXTS: Final = ("name", "description", "service_type", "service_ontology", "location")
_SERVICE_KEYS: Final = ("id", *_TEXTS, "owner", "input_topics", "output_topics")
_TOPIC_TEXTS: Final = ("name", "description", "topic_ontology")
_TOPIC_KEYS: Final = ("id", *_TOPIC_TEXTS)


class Exchange(Services):
    """The part of the registry that writes and reads files of services."""

    def export_services(self, user_id: int) -> str:
        """Write a user's own services, numbered from 1 in order of registration."""
        owned = self.services_owned(user_id)
        return json.dumps({str(number): extended_json(each) for number, each in enumerate(owned, 1)})

    def import_services(self, user_id: int, text: bytes) -> tuple[Service, ...]:
        """Register all services of a file, and those of their topics that are new.

        Ids and owners of the file are ignored: all belongs to who imports. Topics that exist and
        that the importer may use are used.

        Raises:
            Refusal: 400, with the words of the contract; nothing is imported.
        """
        if len(text) > self.quotas.import_bytes:
            raise quota("bytes of a file of services", self.quotas.import_bytes)
        drafts = read_services(text)
        if len(drafts) > self.quotas.import_services:
            raise quota("services in a file", self.quotas.import_services)
        with self._database.write(user_id) as transaction:
            _refuse_taken(transaction, drafts)
            made = tuple(self._add_service(transaction, each, Visibility.OPEN) for each in drafts)
            transaction.note("import_services", f"{len(made)} services")
            return made


def read_services(text: bytes) -> list[ServiceDraft]:
    """Read a file of services, in its order.

    Raises:
        Refusal: 400, with the words of the contract.
    """
    try:
        document = strict_json.read(text)
    except ValueError as error:
        raise Refusal(400, f"invalid json: {str(error)[:200]}") from None
    if not isinstance(document, dict) or not all(isinstance(each, dict) for each in document.values()):
        raise Refusal(400, "invalid json: an object of services by number is needed")
    return [_service(each) for each in document.values()]


def _service(entry: dict[str, Any]) -> ServiceDraft:
    _require(entry, _SERVICE_KEYS)
    texts = _texts(entry, _TEXTS)
    if not texts["name"].strip() or not texts["service_type"].strip():
        raise Refusal(400, "Service name and sevice type are required")
    return ServiceDraft(
        **texts,
        input_topics=_topics(entry, "input_topics"),
        output_topics=_topics(entry, "output_topics"),
    )


def _topics(entry: dict[str, Any], key: str) -> tuple[TopicDraft, ...]:
    given = entry[key]
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise Refusal(400, f"invalid json: {key} must be a list of topics")
    for each in given:
        _require(each, _TOPIC_KEYS)
    return tuple(TopicDraft(**_texts(each, _TOPIC_TEXTS)) for each in given)


def _require(entry: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        if key not in entry:
            raise Refusal(400, f"ERROR: '{key}'")


def _texts(entry: dict[str, Any], keys: tuple[str, ...]) -> dict[str, str]:
    for key in keys:
        # A text that somebody left empty is exported as null by some.
        if not isinstance(entry[key], str | None):
            raise Refusal(400, f"invalid json: {key} must be a text")
    return {key: entry[key] or "" for key in keys}


def _refuse_taken(transaction: Transaction, drafts: list[ServiceDraft]) -> None:
    wanted = [each.name.strip() for each in drafts]
    names = tables.services.c.name
    taken = {row.name for row in transaction.rows(sa.select(names))} & set(wanted)
    taken |= {name for name in wanted if wanted.count(name) > 1} if len(set(wanted)) < len(wanted) else set()
    services = [name for name in dict.fromkeys(wanted) if name in taken]
    topics = _topics_of_others(transaction, drafts)
    if not services and not topics:
        return
    said = ["Failed to import services and topics."]
    if services:
        said.append(f"Services with name {[services]} already exist. Please rename and try again.")
    if topics:
        said.append(f"Topics with name {topics} already exist. Please rename  and try again.")
    raise Refusal(400, " ".join(said))


def _topics_of_others(transaction: Transaction, drafts: list[ServiceDraft]) -> list[str]:
    used = [("in", each.name) for draft in drafts for each in draft.input_topics]
    used += [("out", each.name) for draft in drafts for each in draft.output_topics]
    known = existing_ids(transaction, {name for _, name in used})
    if not known:
        return []
    permitted = Permitted(transaction)
    barred = {name for direction, name in used if name in known and not permitted.may(name, direction)}
    return [name for name in dict.fromkeys(name for _, name in used) if name in barred]
