"""What a client says once it is in: one method per packet of the standard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voltagora.hub.errors import PacketError
from voltagora.hub.publication import Publication, Topic
from voltagora.hub.reasons import Reason
from voltagora.hub.topics import parse_filter, topic_levels
from voltagora.hub.trie import Subscription
from voltagora.hub.wire import acknowledge, connect, primitive, properties, publish, subscribe
from voltagora.hub.wire.acknowledge import PUBACK, PUBCOMP, PUBREC, PUBREL, acknowledgement
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.properties import Property
from voltagora.hub.wire.subscribe import Wish

if TYPE_CHECKING:
    from voltagora.hub.clock import Timer
    from voltagora.hub.connection import Connection
    from voltagora.hub.session import Session


class Conversation:
    """One client that was let in."""

    __slots__ = (
        "_aliases",
        "_broker",
        "_connection",
        "_grace",
        "_session",
        "_stamp",
        "_timer",
        "_v5",
    )

    def __init__(self, connection: Connection, session: Session, keep_alive: int) -> None:
        self._connection = connection
        self._broker = connection.broker
        self._session = session
        self._stamp = publish.stamp(connection.user)
        self._v5 = connection.version == V5
        self._aliases: dict[int, bytes] = {}
        self._grace = keep_alive * 1.5
        self._timer: Timer | None = None
        if keep_alive:
            self._timer = self._broker.timers.at(connection.heard + self._grace, self._check_alive)

    def packet(self, first: int, data: bytes, at: int, end: int) -> None:
        """Take one packet.

        Raises:
            PacketError: it is not what the standard allows.
        """
        if first >> 4 == 3:
            self._publish(first, data, at, end)
        elif first == PUBACK:
            packet, _ = acknowledge.decode_acknowledgement(first, data, at, end, self._connection.version)
            self._session.acknowledged(packet)
        elif first in (PUBREC, PUBREL, PUBCOMP):
            packet, reason = acknowledge.decode_acknowledgement(
                first, data, at, end, self._connection.version
            )
            self._exactly_once(first, packet, reason)
        elif first == 0xC0:
            if at != end:
                raise primitive.malformed("PINGREQ has no body")
            self._connection.put(b"\xd0\x00")
        else:
            self._seldom(first, data, at, end)

    def _seldom(self, first: int, data: bytes, at: int, end: int) -> None:
        if first == 0x82:
            self._subscribe(subscribe.decode_subscribe(data, at, end, self._connection.version))
        elif first == 0xA2:
            self._unsubscribe(*subscribe.decode_unsubscribe(data, at, end, self._connection.version))
        elif first == 0xE0:
            self._disconnect(connect.decode_disconnect(data, at, end, self._connection.version))
        elif first >> 4 == 1:
            raise primitive.protocol_error("a second CONNECT")
        elif first == 0xF0 and self._v5:
            raise primitive.protocol_error("AUTH without enhanced authentication")
        elif first >> 4 in (2, 9, 11, 13):
            raise primitive.protocol_error("a packet that only a server sends")
        else:
            raise primitive.malformed(f"a packet that begins with 0x{first:02x}")

    # Publishing.

    def _publish(self, first: int, data: bytes, at: int, end: int) -> None:
        qos = first >> 1 & 3
        name_at = at + 2
        if name_at > end:
            raise primitive.malformed("PUBLISH ends within its topic")
        at = name_at + (data[at] << 8 | data[at + 1])
        if qos:
            packet = self._packet_identifier(qos, data, at, end)
            name, at = data[name_at:at], at + 2
        else:
            if first & publish.DUPLICATE:
                raise primitive.malformed("QoS 0 marked as a duplicate")
            packet = 0
            name = data[name_at:at]
        if at > end:
            raise primitive.malformed("PUBLISH ends within its topic")
        travelling = self._stamp
        expires = None
        if self._v5:
            if at == end:
                raise primitive.malformed("PUBLISH without properties")
            if data[at]:
                name, travelling, expires, at = self._with_properties(name, data, at, end)
            else:
                at += 1
        if qos == 2 and packet in self._session.received:
            # The first copy was taken; this one only lacks its answer.
            self._connection.answer(acknowledgement(PUBREC, packet), 0)
            return
        topic = self._topic(name)
        if topic is None:
            self._refuse(qos, packet, Reason.NOT_AUTHORIZED, "publish not authorized")
            return
        publication = Publication(
            topic,
            data[at:end],
            qos,
            first & 1 == 1,
            travelling,
            self._connection.user,
            self._broker.clock.wall(),
            expires,
            self._session,
        )
        self._take(publication, packet)

    def _take(self, publication: Publication, packet: int) -> None:
        broker = self._broker
        qos = publication.qos
        if publication.retain and not broker.router.topics.room_to_retain(publication):
            self._refuse(qos, packet, Reason.QUOTA_EXCEEDED, "retained quota exceeded")
            return
        if qos and broker.journal.failed:
            self._cannot_save(packet, qos)
            return
        broker.counters.published[qos] += 1
        ticket, heard = broker.router.take(publication)
        if not qos:
            return
        if qos == 1:
            reason = 0 if heard else Reason.NO_MATCHING_SUBSCRIBERS
            self._acknowledge(packet, reason, ticket)
            return
        session = self._session
        session.received.add(packet)
        if session.stored:
            ticket = max(ticket, broker.journal.received(session, packet))
        self._connection.answer(acknowledgement(PUBREC, packet), ticket)

    def _acknowledge(self, packet: int, reason: int, ticket: int) -> None:
        connection = self._connection
        connection.answer(acknowledgement(PUBACK, packet, reason, connection.version), ticket)

    def _packet_identifier(self, qos: int, data: bytes, at: int, end: int) -> int:
        if qos == 3:
            raise primitive.malformed("QoS 3")
        if at + 2 > end:
            raise primitive.malformed("PUBLISH ends within its packet identifier")
        packet = data[at] << 8 | data[at + 1]
        publish.check_identifier(packet)
        if self._v5:
            unanswered = len(self._session.received) + self._connection.held
            if unanswered >= self._broker.limits.receive_maximum and packet not in self._session.received:
                raise PacketError(Reason.RECEIVE_MAXIMUM_EXCEEDED, "more unacknowledged than agreed")
        return packet

    def _with_properties(
        self, name: bytes, data: bytes, at: int, end: int
    ) -> tuple[bytes, bytes, float | None, int]:
        """Read properties: the topic's name by alias, what travels along, when it expires, and where next."""
        given, at = properties.take_properties(data, at, end, properties.IN_PUBLISH)
        alias = given.get(Property.TOPIC_ALIAS)
        if alias is not None:
            publish.check_alias(alias, self._broker.limits.topic_aliases)
            if name:
                topic_levels(primitive.text(name))
                self._aliases[alias] = name
            elif alias in self._aliases:
                name = self._aliases[alias]
            else:
                raise primitive.protocol_error(f"topic alias {alias} is not known")
        expiry = given.get(Property.MESSAGE_EXPIRY)
        expires = None if expiry is None else self._broker.clock.monotonic() + expiry
        return name, publish.travelling(given, self._stamp), expires, at

    def _topic(self, name: bytes) -> Topic | None:
        """Find the topic; None: this user may not publish there."""
        broker = self._broker
        topic = broker.router.topics.known.get(name)
        text = primitive.text(name) if topic is None else topic.name
        if topic is None:
            topic_levels(text)
        if not broker.may_publish(self._connection.user, text):
            return None
        return broker.router.topics.named(text) if topic is None else topic

    def _refuse(self, qos: int, packet: int, reason: Reason, what: str) -> None:
        """Refuse a publish; 3.1.1 has no words for it, so there it is acknowledged and dropped."""
        self._broker.counters.refused[what] += 1
        self._broker.fault(self._session, what)
        if not qos:
            return
        connection = self._connection
        first = PUBACK if qos == 1 else PUBREC
        connection.answer(acknowledgement(first, packet, reason, connection.version), 0)
        if qos == 2 and not self._v5:
            self._session.received.add(packet)

    def _cannot_save(self, packet: int, qos: int) -> None:
        if self._v5:
            self._refuse(qos, packet, Reason.QUOTA_EXCEEDED, "cannot save")
        else:
            raise PacketError(Reason.QUOTA_EXCEEDED, "cannot save, and 3.1.1 has no word for it")

    def _exactly_once(self, first: int, packet: int, reason: int) -> None:
        session, connection = self._session, self._connection
        if first == PUBREC:
            if not session.taken(packet, reason) and reason < 0x80:
                code = Reason.PACKET_IDENTIFIER_NOT_FOUND
                connection.answer(acknowledgement(PUBREL, packet, code, connection.version), 0)
        elif first == PUBCOMP:
            session.completed(packet)
        else:
            known = packet in session.received
            ticket = 0
            if known:
                session.received.discard(packet)
                if session.stored:
                    ticket = self._broker.journal.released(session, packet)
            code = Reason.SUCCESS if known else Reason.PACKET_IDENTIFIER_NOT_FOUND
            connection.answer(acknowledgement(PUBCOMP, packet, code, connection.version), ticket)

    # Subscribing.

    def _subscribe(self, wanted: subscribe.Subscribe) -> None:
        session = self._session
        codes, ticket = [], 0
        replays: list[tuple[Subscription, Wish, bool]] = []
        for wish in wanted.wishes:
            try:
                subscription = self._subscription(wish, wanted.identifier)
            except PacketError as error:
                if error.reason is Reason.PROTOCOL_ERROR:
                    raise
                self._broker.counters.refused[f"subscribe: {error.reason.words}"] += 1
                self._broker.fault(session, "subscribe refused", detail=error.what)
                codes.append(int(error.reason))
                continue
            new, saved = self._broker.subscribe(session, subscription)
            ticket = max(ticket, saved)
            codes.append(subscription.qos)
            replays.append((subscription, wish, new))
        self._connection.answer(subscribe.suback(wanted.packet, codes, self._connection.version), ticket)
        wanted_again = [
            subscription
            for subscription, wish, new in replays
            if wish.retain_handling == 0 or (wish.retain_handling == 1 and new)
        ]
        # After SUBACK, for the sake of clients that read one thing at a time.
        self._connection.after_answers(lambda: self._replay(wanted_again))

    def _replay(self, subscriptions: list[Subscription]) -> None:
        for subscription in subscriptions:
            self._broker.replay(self._session, subscription)

    def _subscription(self, wish: Wish, identifier: int | None) -> Subscription:
        """Check one wish.

        Raises:
            PacketError: the filter is none, not allowed, or one too many.
        """
        wanted = parse_filter(wish.filter)
        if wanted.group is not None and wish.no_local:
            raise primitive.protocol_error("a shared subscription cannot be no local")
        self._broker.check_subscribe(self._session, wanted)
        return Subscription(wanted, wish.qos, wish.no_local, wish.retain_as_published, identifier)

    def _unsubscribe(self, packet: int, filters: list[str]) -> None:
        codes, ticket = [], 0
        for text in filters:
            parse_filter(text)
            gone, saved = self._broker.unsubscribe(self._session, text)
            ticket = max(ticket, saved)
            codes.append(0 if gone else Reason.NO_SUBSCRIPTION_EXISTED)
        self._connection.answer(subscribe.unsuback(packet, codes, self._connection.version), ticket)

    # Leaving.

    def _disconnect(self, how: connect.Disconnect) -> None:
        session = self._session
        if how.session_expiry is not None:
            if how.session_expiry and not session.expiry:
                raise primitive.protocol_error("a session that was to end cannot be kept on leaving")
            self._broker.set_expiry(session, float(how.session_expiry))
        self._connection.leave("client left", with_will=how.reason != Reason.SUCCESS)

    def cancel(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _check_alive(self) -> None:
        connection = self._connection
        due = connection.heard + self._grace
        if due <= self._broker.clock.monotonic():
            connection.close(Reason.KEEP_ALIVE_TIMEOUT, abort=True)
        else:
            self._timer = self._broker.timers.at(due, self._check_alive)
