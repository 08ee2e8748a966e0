"""The tables. A migration in `migrations/versions/` must go with every change; a test compares."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

counters = Table(
    "counters",
    metadata,
    Column("kind", String(20), primary_key=True),
    Column("last", Integer, nullable=False),
)
"""The last id given of each kind: an id is never used twice, so a token of a user who is gone is nobody's."""

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("username", String(80), nullable=False, unique=True),
    Column("email", String(255), nullable=False),
    Column("email_key", String(255), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger),
    Column("admin", Boolean, nullable=False),
)

topics = Table(
    "topics",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", String(200), nullable=False),
    Column("topic_ontology", String(200), nullable=False),
    Column("owner_id", Integer, ForeignKey("users.id", ondelete="SET NULL")),
    Column("visibility", String(10), nullable=False),
    Column("wildcard", Boolean, nullable=False),
    Index("topics_wildcard", "wildcard"),
    Index("topics_owner", "owner_id"),
)

rights = Table(
    "rights",
    metadata,
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("topic_id", Integer, ForeignKey("topics.id", ondelete="CASCADE"), primary_key=True),
    Column("can_sub", Boolean, nullable=False),
    Column("can_pub", Boolean, nullable=False),
    Column("asked", Boolean, nullable=False),
    Column("barred", Boolean, nullable=False),
    Index("rights_topic", "topic_id"),
)
"""`barred`: the owner took the right away, so asking again waits for the owner even where it is open."""

services = Table(
    "services",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(50), nullable=False, unique=True),
    Column("description", String(200), nullable=False),
    Column("service_type", String(50), nullable=False),
    Column("service_ontology", String(200), nullable=False),
    Column("location", String(50), nullable=False),
    Column("owner_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("folder", String(80), nullable=False),
    Column("folder_key", String(255), nullable=False, unique=True),
    Column("visibility", String(10), nullable=False),
    Index("services_owner", "owner_id"),
)

service_topics = Table(
    "service_topics",
    metadata,
    Column("service_id", Integer, ForeignKey("services.id", ondelete="CASCADE"), primary_key=True),
    Column("direction", String(3), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("topic_id", Integer, ForeignKey("topics.id", ondelete="RESTRICT"), nullable=False),
    Index("service_topics_topic", "topic_id"),
)

subscribers = Table(
    "subscribers",
    metadata,
    Column("service_id", Integer, ForeignKey("services.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("asked", Boolean, nullable=False),
    Column("barred", Boolean, nullable=False),
    Index("subscribers_user", "user_id"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("name", String(80), nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("service_id", Integer, ForeignKey("services.id", ondelete="CASCADE")),
    Index("tokens_user", "user_id"),
    Index("tokens_service", "service_id"),
)

logins = Table(
    "logins",
    metadata,
    Column("jti", String(36), primary_key=True),
    Column("family", String(36), nullable=False),
    Column("user_id", Integer, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("logins_family", "family"),
    Index("logins_user", "user_id"),
    Index("logins_expiry", "expires_at"),
)
"""Tokens of the REST API that are good; one that is not here counts as revoked."""

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("detail", String(400), nullable=False),
    Index("audit_actor", "actor"),
)
