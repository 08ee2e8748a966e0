"""Subscribers of services: who asked, who is let in, who is put out."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from voltagora.platform.registry import tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import Service, Subscriber, Visibility
from voltagora.platform.registry.part import NOT_PERMITTED, Part, user_named
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.service_rows import (
    let_in,
    output_rows,
    service_row,
    services_of,
    set_subscriber,
    shut_out,
    subscriber_row,
)
from voltagora.platform.registry.topics import owns


class Subscriptions(Part):
    """The part of the registry that knows who subscribes to which service."""

    def subscribe_to_service(self, user_id: int, service_id: int) -> tuple[Service, bool]:
        """Ask for a service: SUB on its outputs at once where it is open, else when its owner grants.

        Returns:
            The service, and whether the user is a subscriber now.

        Raises:
            Refusal: 404, no such service, or already a subscriber.
        """
        with self._database.write(user_id) as transaction:
            row = service_row(transaction, service_id, Refusal(404, "Invalid service"))
            mine = subscriber_row(transaction, service_id, user_id)
            if mine is not None and mine.active:
                words = f"User {transaction.username} already subscribed to service {row.name}"
                raise Refusal(404, words, bare=True)
            barred = mine is not None and mine.barred
            active = row.visibility == Visibility.OPEN.value and not barred
            set_subscriber(transaction, service_id, user_id, active=active, asked=not active, barred=barred)
            if active:
                for topic in output_rows(transaction, service_id):
                    let_in(transaction, user_id, transaction.username, topic)
            transaction.note("subscribe" if active else "ask", f"service {row.name}")
            return services_of(transaction.connection, [row])[0], active

    def subscribers(self, service_id: int) -> tuple[Subscriber, ...]:
        """Give a service's subscribers and who waits, in order of registration."""
        parts, users = tables.subscribers, tables.users
        found = sa.select(parts, users.c.username).join_from(parts, users).order_by(users.c.id)
        some = parts.c.active | parts.c.asked
        with self._database.read() as connection:
            rows = connection.execute(found.where(parts.c.service_id == service_id, some)).all()
        return tuple(map(_subscriber_of, rows))

    def is_subscriber(self, user_id: int, service_id: int) -> bool:
        """Whether a user is a subscriber of a service."""
        parts = tables.subscribers.c
        which = (parts.service_id == service_id) & (parts.user_id == user_id) & parts.active
        with self._database.read() as connection:
            return connection.execute(sa.select(parts.user_id).where(which)).first() is not None

    def grant_service(self, user_id: int, service_id: int, username: str) -> Subscriber:
        """Let a user in: subscriber, and SUB on the outputs that the service's owner owns.

        Raises:
            Refusal: 401, not the owner; 404, no such user; 400, no such service.
        """
        with self._database.write(user_id) as transaction:
            row, user = self._decided(transaction, service_id, username)
            set_subscriber(transaction, service_id, user.id, active=True, asked=False, barred=False)
            for topic in output_rows(transaction, service_id):
                let_in(transaction, user.id, username, topic, row.owner_id)
            transaction.note("grant", f"service {row.name}", username)
            return Subscriber(service_id=service_id, username=username, active=True)

    def revoke_service(self, user_id: int, service_id: int, username: str) -> None:
        """Put a user out, with the rights to outputs that came with it.

        Raises:
            Refusal: 401, not the owner; 404, no such user; 400, no such service or the owner.
        """
        with self._database.write(user_id) as transaction:
            row, user = self._decided(transaction, service_id, username)
            if user.id == row.owner_id:
                raise Refusal(400, "The owner's own right stays.")
            set_subscriber(transaction, service_id, user.id, active=False, asked=False, barred=True)
            shut_out(transaction, user.id, username, row)
            transaction.note("revoke", f"service {row.name}", username)

    def _decided(self, transaction: Transaction, service_id: int, username: str) -> tuple[Any, Any]:
        row = service_row(transaction, service_id, Refusal(400, "No such service found"))
        if not owns(transaction, row):
            raise Refusal(401, NOT_PERMITTED)
        return row, user_named(transaction, username)


def _subscriber_of(row: Any) -> Subscriber:
    return Subscriber(service_id=row.service_id, username=row.username, active=row.active, asked=row.asked)
