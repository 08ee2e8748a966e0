"""From the first byte to CONNACK: who is this, and may it come in?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voltagora.hub.conversation import Conversation
from voltagora.hub.errors import PacketError
from voltagora.hub.reasons import Reason
from voltagora.hub.rights import Login
from voltagora.hub.will import Will, will_of
from voltagora.hub.wire import connect, primitive, publish
from voltagora.hub.wire.connect import V5, Connect
from voltagora.hub.wire.properties import Properties, Property
from voltagora.hub.wire.publish import SENDER

if TYPE_CHECKING:
    from voltagora.hub.connection import Connection
    from voltagora.hub.session import Session


class Handshake:
    """The state of a connection that has not been let in."""

    __slots__ = ("_connection", "_timer", "deciding")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.deciding = False
        """It is being decided who the client is; what it sends meanwhile waits."""
        broker = connection.broker
        due = broker.clock.monotonic() + broker.limits.connect_seconds
        self._timer = broker.timers.at(due, self._too_late)

    def packet(self, first: int, data: bytes, at: int, end: int) -> None:
        """Take the first packet."""
        self.check_first(first)
        try:
            wanted = connect.decode_connect(data, at, end)
        except PacketError as error:
            if error.reason is Reason.UNSUPPORTED_PROTOCOL_VERSION:
                # Every version from 3.1 on understands this answer.
                self._connection.put(b"\x20\x02\x00\x01")
            raise
        self._connection.version = wanted.version
        self._check(wanted)
        # CONNECT came in time; hashing passwords of many at once may take longer.
        self._timer.cancel()
        self.deciding = True
        login = Login(wanted.user, wanted.password, wanted.client, self._connection.address)
        self._connection.broker.authenticate(login, lambda user: self.decided(wanted, user))

    def check_first(self, first: int) -> None:
        """Refuse a first byte that does not begin CONNECT."""
        if first >> 4 == 1 and first != 0x10:
            raise primitive.malformed("reserved flags of CONNECT are set")
        if first != 0x10:
            raise primitive.protocol_error("the first packet is not CONNECT")

    def _check(self, wanted: Connect) -> None:
        if Property.AUTHENTICATION_METHOD in wanted.properties:
            raise PacketError(Reason.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not offered")
        if not wanted.client and wanted.version != V5 and not wanted.clean:
            raise PacketError(Reason.CLIENT_IDENTIFIER_NOT_VALID, "no client id for a session to keep")

    def decided(self, wanted: Connect, user: str | None) -> None:
        """Go on once it is known who this is; None: nobody we know."""
        connection = self._connection
        if connection.closed:
            return
        self.deciding = False
        try:
            self._admit(wanted, user)
        except PacketError as error:
            connection.fail(error)
        else:
            connection.carry_on()

    def _admit(self, wanted: Connect, user: str | None) -> None:
        if user is None:
            reason = Reason.BAD_USER_NAME_OR_PASSWORD if wanted.user else Reason.NOT_AUTHORIZED
            raise PacketError(reason, "the user or the password is not right")
        connection, broker = self._connection, self._connection.broker
        stamped = publish.stamp(user)
        will = will_of(wanted.will, stamped) if wanted.will is not None else None
        if will is not None and not broker.may_publish(user, will.topic):
            raise PacketError(Reason.NOT_AUTHORIZED, "the will's topic may not be published to")
        connection.user = user
        expiry = broker.session_expiry(wanted)
        client = wanted.client or broker.new_client_id()
        session, present, ticket = broker.begin_session(connection, user, client, wanted.clean, expiry)
        connection.session = session
        given = self._connack_properties(wanted, session, assigned=None if wanted.client else client)
        answer = connect.connack(wanted.version, Reason.SUCCESS, present=present, given=given)
        if ticket <= broker.journal.saved:
            self._enter(wanted, session, will, answer)
            return
        # Nothing may go out before CONNACK, nor come in: what is meant for the session waits in it.
        self.deciding = connection.congested = True
        broker.when_saved(ticket, lambda: self._enter_later(wanted, session, will, answer))

    def _enter_later(self, wanted: Connect, session: Session, will: Will | None, answer: bytes) -> None:
        connection = self._connection
        if connection.closed:
            return
        self.deciding = connection.congested = False
        self._enter(wanted, session, will, answer)
        connection.carry_on()

    def _enter(self, wanted: Connect, session: Session, will: Will | None, answer: bytes) -> None:
        self._agree(wanted, session, will)
        self._connection.put(answer)
        session.resume(self._connection)
        self._connection.broker.flush()

    def _agree(self, wanted: Connect, session: Session, will: Will | None) -> None:
        connection = self._connection
        limits = connection.broker.limits
        given = wanted.properties
        connection.window = min(limits.window, given.get(Property.RECEIVE_MAXIMUM, 65_535))
        connection.max_packet = given.get(Property.MAXIMUM_PACKET_SIZE, 0)
        connection.aliases_allowed = min(limits.topic_aliases, given.get(Property.TOPIC_ALIAS_MAXIMUM, 0))
        keep_alive = wanted.keep_alive
        if wanted.version == V5 and limits.server_keep_alive is not None:
            keep_alive = limits.server_keep_alive
        self._timer.cancel()
        connection.handshake = None
        connection.conversation = Conversation(connection, session, keep_alive)
        connection.broker.leave_will(session, will)

    def _connack_properties(self, wanted: Connect, session: Session, assigned: str | None) -> Properties:
        limits = self._connection.broker.limits
        given: Properties = {}
        if wanted.properties.get(Property.SESSION_EXPIRY, 0) != session.expiry:
            given[Property.SESSION_EXPIRY] = int(session.expiry)
        given[Property.RECEIVE_MAXIMUM] = limits.receive_maximum
        given[Property.MAXIMUM_PACKET_SIZE] = limits.packet_bytes
        if assigned is not None:
            given[Property.ASSIGNED_CLIENT] = assigned
        given[Property.TOPIC_ALIAS_MAXIMUM] = limits.topic_aliases
        if limits.server_keep_alive is not None:
            given[Property.SERVER_KEEP_ALIVE] = limits.server_keep_alive
        # So that a client knows that `sender` on publications is ours and not their publisher's.
        given[Property.USER] = [("stamps", SENDER)]
        return given

    def refuse(self, reason: Reason) -> None:
        """Answer CONNECT with a refusal and close."""
        connection = self._connection
        self._timer.cancel()
        connection.broker.counters.logins_refused[reason.words] += 1
        connection.put(connect.connack(connection.version, reason))
        connection.close(reason)

    def cancel(self) -> None:
        """Wait no longer."""
        self._timer.cancel()

    def _too_late(self) -> None:
        self._connection.close(Reason.MAXIMUM_CONNECT_TIME, abort=True)
