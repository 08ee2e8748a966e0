"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _audit()
    _counters()
    _logins()
    _users()
    _services()
    _topics()
    _rights()
    _service_topics()
    _subscribers()
    _tokens()


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(80), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("detail", sa.String(400), nullable=False),
    )
    op.create_index("audit_actor", "audit", ["actor"])


def _counters() -> None:
    op.create_table(
        "counters",
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("last", sa.Integer(), nullable=False),
    )


def _logins() -> None:
    op.create_table(
        "logins",
        sa.Column("jti", sa.String(36), primary_key=True),
        sa.Column("family", sa.String(36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("logins_expiry", "logins", ["expires_at"])
    op.create_index("logins_family", "logins", ["family"])
    op.create_index("logins_user", "logins", ["user_id"])


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("username", sa.String(80), nullable=False, unique=True),
        sa.Column("email", sa.String(255), nullable=False),
        sa.Column("email_key", sa.String(255), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger()),
        sa.Column("admin", sa.Boolean(), nullable=False),
    )


def _services() -> None:
    op.create_table(
        "services",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(50), nullable=False, unique=True),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("service_type", sa.String(50), nullable=False),
        sa.Column("service_ontology", sa.String(200), nullable=False),
        sa.Column("location", sa.String(50), nullable=False),
        sa.Column("owner_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("folder", sa.String(80), nullable=False),
        sa.Column("folder_key", sa.String(255), nullable=False, unique=True),
        sa.Column("visibility", sa.String(10), nullable=False),
    )
    op.create_index("services_owner", "services", ["owner_id"])


def _topics() -> None:
    op.create_table(
        "topics",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("description", sa.String(200), nullable=False),
        sa.Column("topic_ontology", sa.String(200), nullable=False),
        sa.Column("owner_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="SET NULL")),
        sa.Column("visibility", sa.String(10), nullable=False),
        sa.Column("wildcard", sa.Boolean(), nullable=False),
    )
    op.create_index("topics_owner", "topics", ["owner_id"])
    op.create_index("topics_wildcard", "topics", ["wildcard"])


def _rights() -> None:
    op.create_table(
        "rights",
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("topic_id", sa.Integer(), sa.ForeignKey("topics.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("can_sub", sa.Boolean(), nullable=False),
        sa.Column("can_pub", sa.Boolean(), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("barred", sa.Boolean(), nullable=False),
    )
    op.create_index("rights_topic", "rights", ["topic_id"])


def _service_topics() -> None:
    op.create_table(
        "service_topics",
        sa.Column(
            "service_id", sa.Integer(), sa.ForeignKey("services.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("direction", sa.String(3), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("topic_id", sa.Integer(), sa.ForeignKey("topics.id", ondelete="RESTRICT"), nullable=False),
    )
    op.create_index("service_topics_topic", "service_topics", ["topic_id"])


def _subscribers() -> None:
    op.create_table(
        "subscribers",
        sa.Column(
            "service_id", sa.Integer(), sa.ForeignKey("services.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("barred", sa.Boolean(), nullable=False),
    )
    op.create_index("subscribers_user", "subscribers", ["user_id"])


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("service_id", sa.Integer(), sa.ForeignKey("services.id", ondelete="CASCADE")),
    )
    op.create_index("tokens_service", "tokens", ["service_id"])
    op.create_index("tokens_user", "tokens", ["user_id"])
