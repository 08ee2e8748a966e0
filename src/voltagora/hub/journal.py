"""What must outlive the process, as the broker tells it; and a journal that forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from voltagora.hub.publication import Publication, Topic
    from voltagora.hub.session import Entry, Session
    from voltagora.hub.trie import Subscription
    from voltagora.hub.will import Will


class Journal(Protocol):
    """Told of every change that must outlive the process.

    Each method gives a ticket; the change is safe once `saved` has reached it. What depends on it
    (an acknowledgement) waits until then, so that many publishers share one commit. Tickets never fall.
    """

    saved: int
    """Everything up to this ticket is on disk."""
    durable: bool
    """False: nothing is kept, and nobody waits."""
    failed: bool
    """The last commit did not succeed: nothing new that needs saving may be promised."""

    def session(self, session: Session) -> int:
        """A persistent session began or its expiry or end changed."""

    def session_ended(self, session: Session) -> int:
        """A session is over, with all that belongs to it."""

    def subscribed(self, session: Session, subscription: Subscription) -> int:
        """A persistent session subscribed."""

    def unsubscribed(self, session: Session, text: str) -> int:
        """A persistent session unsubscribed."""

    def queued(self, session: Session, entry: Entry) -> int:
        """A message waits for a persistent session."""

    def changed(self, session: Session, entry: Entry) -> int:
        """A waiting message got its packet identifier or was released."""

    def done(self, session: Session, entry: Entry) -> int:
        """A message is acknowledged, expired or dropped."""

    def received(self, session: Session, packet: int) -> int:
        """A QoS 2 message came in and must not be taken twice."""

    def released(self, session: Session, packet: int) -> int:
        """A QoS 2 message is complete; its identifier may be used again."""

    def retained(self, topic: Topic, publication: Publication | None) -> int:
        """A topic's retained message was set or cleared."""

    def will(self, session: Session, will: Will | None) -> int:
        """A will was left, or is settled."""


class Memory:
    """The journal of a hub that keeps nothing."""

    __slots__ = ()

    saved = 0
    durable = False
    failed = False

    def session(self, session: Session) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def session_ended(self, session: Session) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def subscribed(self, session: Session, subscription: Subscription) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def unsubscribed(self, session: Session, text: str) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def queued(self, session: Session, entry: Entry) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def changed(self, session: Session, entry: Entry) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def done(self, session: Session, entry: Entry) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def received(self, session: Session, packet: int) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def released(self, session: Session, packet: int) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def retained(self, topic: Topic, publication: Publication | None) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def will(self, session: Session, will: Will | None) -> int:  # noqa: ARG002
        """Nothing."""
        return 0
