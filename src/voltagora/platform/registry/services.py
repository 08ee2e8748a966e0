"""Services: registered, found, changed, duplicated, deleted."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa

from voltagora.platform.registry import names, tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import Service, ServiceDraft, Visibility
from voltagora.platform.registry.part import NOT_PERMITTED, Part, matches
from voltagora.platform.registry.refusals import Refusal, quota
from voltagora.platform.registry.service_rows import (
    SERVICES,
    let_in,
    output_rows,
    place_topics,
    remove_service,
    service_row,
    service_rows,
    services_of,
    set_subscriber,
    subscriber_row,
)
from voltagora.platform.registry.service_topics import resolve
from voltagora.platform.registry.token_rows import follow_service
from voltagora.platform.registry.topics import owns

NO_SERVICE: Final = "No such service found"


class Services(Part):
    """The part of the registry that knows services."""

    def services(
        self, *, name: str = "", description: str = "", service_ontology: str = "", term: str = ""
    ) -> tuple[Service, ...]:
        """Give the services in which all of the given parts stand, in order of registration.

        Args:
            name: a part of it, in any case; so with the others.
            description: a part of it.
            service_ontology: a part of it.
            term: a part of any of the three.
        """
        found = self._listed("services", lambda: self._services(sa.true()))
        if not (name or description or service_ontology or term):
            return found
        return tuple(
            service
            for service in found
            if matches(name, [service.name])
            and matches(description, [service.description])
            and matches(service_ontology, [service.service_ontology])
            and matches(term, [service.name, service.description, service.service_ontology])
        )

    def services_owned(self, user_id: int) -> tuple[Service, ...]:
        """Give a user's own services."""
        return self._services(tables.services.c.owner_id == user_id)

    def services_subscribed(self, user_id: int) -> tuple[Service, ...]:
        """Give the services a user subscribes to; the own ones are among them."""
        rows = tables.subscribers.c
        mine = sa.select(rows.service_id).where(rows.user_id == user_id, rows.active)
        return self._services(tables.services.c.id.in_(mine))

    def find_service(self, service_id: int) -> Service | None:
        """Find a service."""
        found = self._services(tables.services.c.id == service_id)
        return found[0] if found else None

    def owned_service(self, user_id: int, service_id: int, unknown: Refusal | None = None) -> Service:
        """Give a service that a user owns: what upload, build, run, stop and log ask first.

        Raises:
            Refusal: 401, not the owner; 404, no such service, unless another refusal is given.
        """
        found = self.find_service(service_id)
        if found is None:
            raise unknown or Refusal(404, "Bad luck. No such service.")
        if found.owner_id != user_id:
            raise Refusal(401, NOT_PERMITTED)
        return found

    def _services(self, where: sa.ColumnElement[bool]) -> tuple[Service, ...]:
        with self._database.read() as connection:
            rows = connection.execute(SERVICES.where(where).order_by(tables.services.c.id)).all()
            return services_of(connection, rows)

    def create_service(
        self, user_id: int, draft: ServiceDraft, *, visibility: Visibility = Visibility.OPEN
    ) -> Service:
        """Register a service and those of its topics that are new.

        Raises:
            Refusal: 400, with the words of the contract.
        """
        with self._database.write(user_id) as transaction:
            return self._add_service(transaction, draft, visibility)

    def duplicate_service(self, user_id: int, service_id: int, draft: ServiceDraft) -> Service:
        """Register a service made of another that the user subscribes to.

        Raises:
            Refusal: 401, no subscriber; 400, no such service, or as at creation.
        """
        with self._database.write(user_id) as transaction:
            row = service_row(transaction, service_id, Refusal(400, NO_SERVICE))
            mine = subscriber_row(transaction, service_id, user_id)
            if mine is None or not mine.active:
                raise Refusal(401, NOT_PERMITTED)
            made = self._add_service(transaction, draft, Visibility.OPEN)
            transaction.note("duplicate_service", f"service {made.name}", f"of {row.name}")
            return made

    def _add_service(self, transaction: Transaction, draft: ServiceDraft, visibility: Visibility) -> Service:
        user_id = transaction.user_id
        assert user_id is not None
        count = sa.select(sa.func.count()).where(tables.services.c.owner_id == user_id)
        if transaction.row(count)[0] >= self.quotas.services:
            raise quota("services", self.quotas.services)
        values = self._checked(transaction, draft)
        topics = resolve(transaction, draft, self.quotas.topics)
        folder, key = _free_folder(transaction, values["name"])
        service_id = transaction.next_id("service")
        transaction.connection.execute(
            tables.services.insert().values(
                id=service_id,
                owner_id=user_id,
                folder=folder,
                folder_key=key,
                visibility=visibility.value,
                **values,
            )
        )
        for direction, ids in topics.items():
            place_topics(transaction, service_id, direction, ids)
        set_subscriber(transaction, service_id, user_id, active=True, asked=False, barred=False)
        made = _read(transaction, service_id)
        transaction.changes["services_new"].append(made)
        transaction.note("create_service", f"service {made.name}")
        return made

    def update_service(
        self,
        user_id: int,
        service_id: int,
        draft: ServiceDraft,
        *,
        visibility: Visibility | None = None,
    ) -> Service:
        """Change a service; its folder stays. Tokens made for it follow its topics.

        Raises:
            Refusal: 401, not the owner; 400, no such service, or as at creation.
        """
        with self._database.write(user_id) as transaction:
            row = service_row(transaction, service_id, Refusal(400, NO_SERVICE))
            if not owns(transaction, row):
                raise Refusal(401, NOT_PERMITTED)
            before = _read(transaction, service_id)
            already = {("in", each.name) for each in before.input_topics}
            already |= {("out", each.name) for each in before.output_topics}
            values = self._checked(transaction, draft, but=service_id)
            for direction, ids in resolve(transaction, draft, self.quotas.topics, already).items():
                place_topics(transaction, service_id, direction, ids)
            if visibility is not None:
                values["visibility"] = visibility.value
            which = tables.services.c.id == service_id
            transaction.connection.execute(tables.services.update().where(which).values(**values))
            changed = _read(transaction, service_id)
            follow_service(transaction, changed)
            _offer_new_outputs(transaction, changed, already)
            transaction.changes["services_changed"].append(changed)
            transaction.note("update_service", f"service {changed.name}")
            return changed

    def set_service_visibility(self, user_id: int, service_id: int, visibility: Visibility) -> Service:
        """Say whether a service lets everybody in.

        Raises:
            Refusal: 401, not the owner; 400, no such service.
        """
        with self._database.write(user_id) as transaction:
            row = service_row(transaction, service_id, Refusal(400, NO_SERVICE))
            if not owns(transaction, row):
                raise Refusal(401, NOT_PERMITTED)
            which = tables.services.c.id == service_id
            changed = tables.services.update().where(which).values(visibility=visibility.value)
            transaction.connection.execute(changed)
            found = _read(transaction, service_id)
            transaction.changes["services_changed"].append(found)
            transaction.note("change_service", f"service {found.name}", visibility.value)
            return found

    def delete_service(self, user_id: int, service_id: int) -> None:
        """Delete a service and its tokens; its topics stay.

        Raises:
            Refusal: 401, not the owner; 400, no such service.
        """
        with self._database.write(user_id) as transaction:
            row = service_row(transaction, service_id, Refusal(400, NO_SERVICE))
            if not owns(transaction, row):
                raise Refusal(401, NOT_PERMITTED)
            remove_service(transaction, row)

    def _checked(
        self, transaction: Transaction, draft: ServiceDraft, but: int | None = None
    ) -> dict[str, Any]:
        name = draft.name.strip()
        if not name or not names.printable(name):
            raise Refusal(400, "Not a valid name")
        limits = {
            "name": (name, names.MOST_SERVICE),
            "description": (draft.description, names.MOST_TEXT),
            "service_type": (draft.service_type, names.MOST_SERVICE_TYPE),
            "service_ontology": (draft.service_ontology, names.MOST_TEXT),
            "location": (draft.location, names.MOST_LOCATION),
        }
        for field, (text, most) in limits.items():
            names.check_length(field, text, most)
        services = tables.services.c
        same = sa.select(services.id).where(services.name == name)
        if transaction.row(same.where(services.id != (-1 if but is None else but))):
            raise Refusal(400, f"A Service with name {name} already exists.")
        if not draft.input_topics and not draft.output_topics:
            raise Refusal(400, "At least an input or output topic is needed.")
        if len(draft.input_topics) + len(draft.output_topics) > self.quotas.topics_per_service:
            raise quota("topics of a service", self.quotas.topics_per_service)
        return {field: text for field, (text, _) in limits.items()}


def _read(transaction: Transaction, service_id: int) -> Service:
    rows = service_rows(transaction, tables.services.c.id == service_id)
    return services_of(transaction.connection, rows)[0]


def _free_folder(transaction: Transaction, name: str) -> tuple[str, str]:
    """Two names may give one folder (`a b`, `a_b`, `A_B`): later ones get a number."""
    wanted = names.folder_name(name)
    folder, number = wanted, 1
    keys = tables.services.c.folder_key
    while transaction.row(sa.select(keys).where(keys == names.folder_key(folder))):
        number += 1
        folder = f"{wanted}-{number}"
    return folder, names.folder_key(folder)


def _offer_new_outputs(
    transaction: Transaction, service: Service, already: Collection[tuple[str, str]]
) -> None:
    new = [row for row in output_rows(transaction, service.id) if ("out", row.name) not in already]
    if not new:
        return
    parts, users = tables.subscribers.c, tables.users.c
    found = sa.select(users.id, users.username).join_from(tables.subscribers, tables.users)
    for user in transaction.rows(found.where(parts.service_id == service.id, parts.active)):
        for topic in new:
            let_in(transaction, user.id, user.username, topic)
