"""Users: registered, found, changed, confirmed, deleted."""

from __future__ import annotations

import sqlalchemy as sa

from voltagora.platform.registry import names, tables
from voltagora.platform.registry.database import Transaction
from voltagora.platform.registry.entities import ADMIN_ID, User
from voltagora.platform.registry.part import TOPICS, Part, user_named, user_of
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.service_rows import remove_service, service_rows
from voltagora.platform.registry.token_rows import drop_tokens
from voltagora.platform.registry.topic_rows import remove_topic


class Users(Part):
    """The part of the registry that knows users."""

    def register_user(
        self, username: str, email: str, password_hash: str, *, confirmed: bool = False
    ) -> User:
        """Register a user; ids count from 1 in order.

        Raises:
            Refusal: 400, a name or address that is none, is reserved or is taken.
        """
        names.check_username(username, self._reserved)
        names.check_email(email)
        with self._database.write() as transaction:
            _check_free(transaction, username, email)
            user_id = transaction.next_id("user")
            return _insert(transaction, user_id, username, email, password_hash, confirmed=confirmed)

    def ensure_admin(self, password_hash: str, username: str = "admin") -> bool:
        """Make the administrator of the first start, if there is none yet; say whether it was made."""
        with self._database.write() as transaction:
            if transaction.row(sa.select(tables.users.c.id).where(tables.users.c.id == ADMIN_ID)):
                return False
            email = f"{username}@localhost"
            _insert(transaction, ADMIN_ID, username, email, password_hash, confirmed=True, admin=True)
            return True

    def find_user(
        self, user_id: int | None = None, *, username: str | None = None, email: str | None = None
    ) -> User | None:
        """Find a user by exactly one of the three."""
        users = tables.users.c
        if not names.printable(username or "") or not names.printable(email or ""):
            return None
        if user_id is not None:
            where = users.id == user_id
        elif username is not None:
            where = users.username == username
        else:
            where = users.email_key == (email or "").casefold()
        with self._database.read() as connection:
            found = connection.execute(sa.select(tables.users).where(where)).first()
        return user_of(found) if found else None

    def users(self) -> tuple[User, ...]:
        """Give all users, in order of registration."""
        with self._database.read() as connection:
            found = connection.execute(sa.select(tables.users).order_by(tables.users.c.id)).all()
        return tuple(map(user_of, found))

    def password_hash(self, user_id: int) -> str | None:
        """Give a user's password as it is stored."""
        users = tables.users.c
        with self._database.read() as connection:
            found = connection.execute(sa.select(users.password_hash).where(users.id == user_id)).first()
        return found.password_hash if found else None

    def change_user(
        self, user_id: int, *, email: str | None = None, password_hash: str | None = None
    ) -> User:
        """Change a user's address or password. A new password ends all logins and connections.

        Raises:
            Refusal: 400, an address that is none or is taken; 404, no such user.
        """
        users = tables.users
        if email is not None:
            names.check_email(email)
        with self._database.write(user_id) as transaction:
            changed = users.update().where(users.c.id == user_id)
            if email is not None:
                _check_free(transaction, None, email, but=user_id)
                # Another address was not confirmed by anybody yet.
                same = user_named(transaction, transaction.username).email_key == email.casefold()
                values = {"email": email, "email_key": email.casefold()}
                unconfirmed = {} if same else {"confirmed_at": None}
                transaction.connection.execute(changed.values(**values, **unconfirmed))
                transaction.note("change_email", f"user {transaction.username}")
            if password_hash is not None:
                transaction.connection.execute(changed.values(password_hash=password_hash))
                _end_logins(transaction, user_id)
                transaction.changes["users_out"].append(transaction.username)
                transaction.note("change_password", f"user {transaction.username}")
            return user_of(user_named(transaction, transaction.username))

    def rehash_password(self, user_id: int, password_hash: str) -> None:
        """Store the same password under another hash; nothing ends."""
        with self._database.write(user_id) as transaction:
            which = tables.users.c.id == user_id
            transaction.connection.execute(
                tables.users.update().where(which).values(password_hash=password_hash)
            )

    def confirm_user(self, user_id: int) -> User:
        """Take down that a user answers at the address.

        Raises:
            Refusal: 404, no such user.
        """
        with self._database.write(user_id) as transaction:
            which = (tables.users.c.id == user_id) & tables.users.c.confirmed_at.is_(None)
            changed = tables.users.update().where(which).values(confirmed_at=transaction.now)
            if transaction.connection.execute(changed).rowcount:
                transaction.note("confirm", f"user {transaction.username}")
            return user_of(user_named(transaction, transaction.username))

    def set_admin(self, user_id: int, username: str, admin: bool) -> User:
        """Make somebody an administrator, or no longer one; only an administrator may.

        Raises:
            Refusal: 403, not an administrator; 404, no such user; 400, the last one.
        """
        with self._database.write(user_id) as transaction:
            if not transaction.admin:
                raise Refusal(403, "Not allowed")
            found = user_named(transaction, username)
            if not admin and _only_admin(transaction, found.id):
                raise Refusal(400, "The last administrator stays one.")
            which = tables.users.c.id == found.id
            transaction.connection.execute(tables.users.update().where(which).values(admin=admin))
            transaction.note("make_admin" if admin else "unmake_admin", f"user {username}")
            return user_of(user_named(transaction, username))

    def delete_user(self, user_id: int, username: str | None = None) -> None:
        """Delete a user with services, tokens and rights.

        Topics go too, unless services of others use them: these stay without an owner.

        Args:
            user_id: who acts.
            username: who goes; None: the one who acts; another only by an administrator.

        Raises:
            Refusal: 403, not an administrator; 404, no such user; 400, the last administrator.
        """
        with self._database.write(user_id) as transaction:
            gone = user_named(transaction, transaction.username if username is None else username)
            if gone.id != user_id and not transaction.admin:
                raise Refusal(403, "Not allowed")
            if gone.admin and _only_admin(transaction, gone.id):
                raise Refusal(400, "The last administrator stays one.")
            for service in service_rows(transaction, tables.services.c.owner_id == gone.id):
                remove_service(transaction, service)
            _leave_topics(transaction, gone.id)
            drop_tokens(transaction, tables.tokens.c.user_id == gone.id)
            transaction.connection.execute(tables.users.delete().where(tables.users.c.id == gone.id))
            transaction.changes["users_gone"].append(gone.username)
            transaction.note("delete_user", f"user {gone.username}")


def _check_free(transaction: Transaction, username: str | None, email: str, but: int | None = None) -> None:
    users = tables.users.c
    other = sa.select(users.id).where(users.id != (-1 if but is None else but))
    if username is not None and transaction.row(other.where(users.username == username)):
        raise Refusal(400, "A user with this username already exists.")
    if transaction.row(other.where(users.email_key == email.casefold())):
        raise Refusal(400, "A user with this email already exists.")


def _insert(
    transaction: Transaction,
    user_id: int,
    username: str,
    email: str,
    password_hash: str,
    *,
    confirmed: bool,
    admin: bool = False,
) -> User:
    transaction.connection.execute(
        tables.users.insert().values(
            id=user_id,
            username=username,
            email=email,
            email_key=email.casefold(),
            password_hash=password_hash,
            registered_at=transaction.now,
            confirmed_at=transaction.now if confirmed else None,
            admin=admin,
        )
    )
    transaction.changes["users_new"].append(username)
    transaction.note("register", f"user {username}", actor=username)
    return user_of(user_named(transaction, username))


def _only_admin(transaction: Transaction, user_id: int) -> bool:
    users = tables.users.c
    return not transaction.row(sa.select(users.id).where(users.admin, users.id != user_id))


def _end_logins(transaction: Transaction, user_id: int) -> None:
    transaction.connection.execute(tables.logins.delete().where(tables.logins.c.user_id == user_id))


def _leave_topics(transaction: Transaction, user_id: int) -> None:
    used = sa.select(tables.service_topics.c.topic_id)
    topics = tables.topics.c
    for row in transaction.rows(TOPICS.where(topics.owner_id == user_id, topics.id.not_in(used))):
        remove_topic(transaction, row)
