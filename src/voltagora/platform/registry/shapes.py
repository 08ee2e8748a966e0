"""What clients see of users, topics and services: the keys and their order are contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from voltagora.platform.registry.entities import Service, Topic, TopicRight, User


def user_json(user: User) -> dict[str, Any]:
    """Show a user."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "registered_on": _date(user.registered_at),
        "confirmed": user.confirmed_at is not None,
        "confirmed_on": "Not yet Confirmed" if user.confirmed_at is None else _date(user.confirmed_at),
        "admin": user.admin,
    }


def topic_json(topic: Topic) -> dict[str, Any]:
    """Show a topic."""
    return {
        "id": topic.id,
        "name": topic.name,
        "description": topic.description,
        "topic_ontology": topic.topic_ontology,
    }


def right_json(right: TopicRight) -> dict[str, Any]:
    """Show a topic with what a user may do with it."""
    return {**topic_json(right.topic), "can_sub": right.can_sub, "can_pub": right.can_pub}


def service_json(service: Service) -> dict[str, Any]:
    """Show a service without its topics."""
    return {
        "id": service.id,
        "name": service.name,
        "description": service.description,
        "service_type": service.service_type,
        "service_ontology": service.service_ontology,
        "location": service.location,
        "owner": service.owner,
    }


def extended_json(service: Service) -> dict[str, Any]:
    """Show a service with its topics in order."""
    return {
        **service_json(service),
        "input_topics": [topic_json(topic) for topic in service.input_topics],
        "output_topics": [topic_json(topic) for topic in service.output_topics],
    }


# The names of days and months are spelt here, so that no locale changes them.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def _date(seconds: int) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    half = "AM" if at.hour < 12 else "PM"
    day = f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year}"
    return f"{day} {at.hour % 12 or 12:02}:{at.minute:02}{half}"
