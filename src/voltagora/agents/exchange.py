"""Carries messages between agents and drives their conversations, without clock or network.

Both runtimes use it. They say what time it is, deliver what has arrived, and take away what is to
be sent; here a reply finds its question, a repeat its stored answer, and silence its end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from voltagora.agents.agent import Address, Agent, Ask, Conversation, Memo
from voltagora.agents.market import Market
from voltagora.domain.records import RecordSink
from voltagora.protocols.catalogue import PROTOCOLS
from voltagora.protocols.cp06_imbalance import ImbalanceBroadcast
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.message import Broadcast, Message, Outcome, Reply, Request

REPLY_SECONDS: Final = 10
"""How long a reply may take before its request is sent again."""
MOST_SENDS: Final = 3
"""How often a request is sent whose asker waits; then the reply counts as missing."""
LONGEST_PAUSE_SECONDS: Final = 300
"""The cap of the growing pause between sends of what must be answered."""
MOST_ANSWERS: Final = 200_000
"""How many answers are kept for repeats of their requests."""


class Flight(msgspec.Struct, frozen=True, gc=False):
    """A publication under way; for a broadcast, `receivers` is empty: whoever reads."""

    message: Message
    address: Address
    sender: Agent
    receivers: tuple[str, ...]
    protocol: str  # a reply is of its request's


class Randomness(Protocol):
    """Where draws and tokens come from: seeded in simulation, tokens secret live."""

    def draw(self, agent: str) -> float:
        """Give the next number of [0, 1) of an agent's stream."""

    def token(self, agent: str) -> str:
        """Give an unguessable text."""


class Timer(Protocol):
    """Where reminders and deadlines are kept."""

    def __call__(self, at: int, act: Callable[..., None], *arguments: Any) -> None:
        """Call `act` with the arguments at an instant."""


Waited: TypeAlias = tuple[str, str]
"""Which request is waited for: asker and message id."""


class Deadlines(Protocol):
    """Where it is counted how long a reply takes, if not in the agents' own time."""

    def __call__(self, seconds: int, waited: Waited, sends: int) -> None:
        """Call `Exchange.expire(waited, sends)` in so many seconds."""


class _Pending(msgspec.Struct, gc=False):
    """A request whose replies are awaited."""

    asker: Agent
    ask: Ask
    conversation: Conversation[Any] | None  # None: told, nobody waits
    origin: Flight | None  # the request that the conversation will answer, if any
    replies: list[Any]
    missing: int
    sends: int = 1


class Exchange:
    """One process's agents and what is under way between them; also the `Turn` that agents are given.

    Args:
        randomness: where draws and tokens come from.
        timer: where reminders and deadlines are kept.
        sink: where records go.
        may_repeat: whether the transport can deliver a request twice; if so, the answers given
            are kept and a repeat gets the first one again.
        deadlines: where the time that replies take is counted; None: with the timer.
    """

    def __init__(
        self,
        randomness: Randomness,
        timer: Timer,
        sink: RecordSink,
        *,
        may_repeat: bool = False,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.now = 0
        self.agents: dict[str, Agent] = {}
        self.sent: list[Flight] = []  # in order; the runtime takes it away
        self.published: defaultdict[type[Message], int] = defaultdict(int)
        self.answered: defaultdict[type[Message], int] = defaultdict(int)
        self._randomness = randomness
        self._timer = timer
        self._deadlines: Deadlines = deadlines or self._expire_by_timer
        self.record: RecordSink = sink  # `Turn.record`
        self._readers: dict[type[Message], list[tuple[Callable[..., Any], Agent]]] = {}
        self._markets: dict[type[Message], list[Callable[[Any], None]]] = {}
        self._pending: dict[Waited, _Pending] = {}
        self._fresh: list[Waited] = []
        self._answers: dict[tuple[str, str, str], Flight | None] | None = {} if may_repeat else None
        self._agent: Agent = Agent("nobody")

    def join(self, agent: Agent) -> None:
        """Let an agent take part.

        Raises:
            ValueError: another agent has its id; ids are unique over all kinds.
        """
        if agent.id in self.agents:
            raise ValueError(f"two agents have the id {agent.id}")
        self.agents[agent.id] = agent
        for kind, method in agent.handles.items():
            if issubclass(kind, Broadcast):
                self._readers.setdefault(kind, []).append((method, agent))

    def attach(self, market: Market) -> None:
        """Let a market read the broadcasts, before any agent; the agents that share it read through it."""
        self._markets.setdefault(ImbalanceBroadcast, []).append(market.read_imbalance)
        self._markets.setdefault(PricesBroadcast, []).append(market.read_prices)

    # What a runtime calls.

    def start(self) -> None:
        """Say `start` to every agent, in the order in which they joined."""
        for agent in self.agents.values():
            self.start_one(agent)

    def start_one(self, agent: Agent) -> None:
        """Say `start` to one agent."""
        self._agent = agent
        agent.start(self)

    def finish(self) -> None:
        """Let every agent record what still stands."""
        for agent in self.agents.values():
            self.finish_one(agent)

    def finish_one(self, agent: Agent) -> None:
        """Let one agent record what still stands."""
        self._agent = agent
        agent.finish(self)

    def returned(self, agent: Agent, peer: str) -> None:
        """Tell an agent that one on which it relies has come back."""
        self._agent = agent
        agent.returned(self, peer)

    def missed(self, agent: Agent) -> None:
        """Tell an agent that news may have gone by unheard."""
        self._agent = agent
        agent.missed(self)

    def is_awaited(self, waited: Waited) -> bool:
        """Tell whether a request has replies missing."""
        return waited in self._pending

    def deliver(self, flight: Flight) -> None:
        """Hand a publication to its receivers."""
        message = flight.message
        kind = type(message)
        if not flight.receivers:
            for read in self._markets.get(kind, ()):
                read(message)
            for method, reader in self._readers.get(kind, ()):
                self._agent = reader
                method(reader, self, message)
        for receiver in flight.receivers:
            agent = self.agents.get(receiver)
            if agent is None:
                continue  # Nobody reads that topic: the asker will hear nothing.
            handler = agent.handles.get(kind)
            if handler is None:
                if isinstance(message, Reply):
                    self._take_reply(receiver, message)
            elif self._answers is None or not self._is_repeat(agent, flight):
                self._agent = agent
                answer = handler(agent, self, message, *flight.address)
                if isinstance(answer, Reply):
                    self._answer(agent, flight, answer)
                elif answer is not None:
                    self._drive(agent, answer, None, flight)
                elif self._answers is not None:
                    self._await_repeat(agent, flight)

    def settle_instant(self) -> None:
        """Set a deadline for every request of this instant that no reply has met within it."""
        if self._pending:
            for key in self._fresh:
                if key in self._pending:
                    self._deadlines(REPLY_SECONDS, key, 1)
        self._fresh.clear()

    @property
    def awaited(self) -> int:
        """How many requests have replies missing."""
        return len(self._pending)

    # What an agent calls through its Turn.

    def publish(self, broadcast: Broadcast) -> None:
        """See `Turn.publish`."""
        self.published[type(broadcast)] += 1
        self.sent.append(Flight(broadcast, (), self._agent, (), broadcast.protocol))

    def tell(self, request: Request, address: Address, responders: tuple[str, ...]) -> None:
        """See `Turn.tell`."""
        self._send_ask(self._agent, (request, address, responders), None, None)

    def begin(self, conversation: Conversation[None]) -> None:
        """See `Turn.begin`."""
        agent = self._agent
        self._drive(agent, conversation, None, None)
        self._agent = agent

    def wake(self, at: int, memo: Memo) -> None:
        """See `Turn.wake`."""
        self._timer(at, self._remind, self._agent, memo)

    def draw(self) -> float:
        """See `Turn.draw`."""
        return self._randomness.draw(self._agent.id)

    def token(self) -> str:
        """See `Turn.token`."""
        return self._randomness.token(self._agent.id)

    def plug(self, station: str, reservation: str, plugged_in: bool) -> None:
        """See `Turn.plug`."""
        there = self.agents.get(station)
        if there is None:
            return  # Its hardware is somewhere else.
        agent = self._agent
        self._agent = there
        there.hardware(self, reservation, plugged_in)
        self._agent = agent

    # How a conversation goes on.

    def _remind(self, agent: Agent, memo: Memo) -> None:
        self._agent = agent
        agent.wake(self, memo)

    def _drive(
        self,
        agent: Agent,
        conversation: Conversation[Any],
        replies: list[Any] | None,
        origin: Flight | None,
    ) -> None:
        self._agent = agent
        try:
            ask = next(conversation) if replies is None else conversation.send(replies)
        except StopIteration as ended:
            if origin is not None and ended.value is not None:
                self._answer(agent, origin, ended.value)
            return
        self._send_ask(agent, ask, conversation, origin)

    def _send_ask(
        self, agent: Agent, ask: Ask, conversation: Conversation[Any] | None, origin: Flight | None
    ) -> None:
        request, address, responders = ask
        key = (agent.id, request.msg_id)
        awaited = len(responders)
        self._pending[key] = _Pending(agent, ask, conversation, origin, [None] * awaited, awaited)
        self._fresh.append(key)
        self.published[type(request)] += 1
        self.sent.append(Flight(request, address, agent, responders, request.protocol))

    def _answer(self, agent: Agent, origin: Flight, reply: Reply) -> None:
        request: Any = origin.message
        address = origin.address
        # The topic says who asked, never the payload; a stolen request is answered to its owner.
        asker = (request.asker(address),)
        flight = Flight(reply, address if len(address) > 1 else asker, agent, asker, origin.protocol)
        if self._answers is not None:
            self._keep((agent.id, origin.sender.id, request.identity), flight)
        self.answered[type(request)] += 1
        self.sent.append(flight)

    def _keep(self, key: tuple[str, str, str], answer: Flight | None) -> None:
        """Keep an answer for repeats; of too many the oldest go, which nobody repeats any more."""
        assert self._answers is not None
        if len(self._answers) >= MOST_ANSWERS and key not in self._answers:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = answer

    def _await_repeat(self, agent: Agent, flight: Flight) -> None:
        """Keep in mind that a request is not answered: that does not mean never, and a repeat asks again."""
        if self._answers is not None and isinstance(flight.message, Request):
            self._answers.pop((agent.id, flight.sender.id, flight.message.identity), None)

    def _is_repeat(self, agent: Agent, flight: Flight) -> bool:
        """Tell whether an agent had this request before; if it has answered, send that answer again."""
        if self._answers is None or not isinstance(flight.message, Request):
            return False
        key = (agent.id, flight.sender.id, flight.message.identity)
        if key not in self._answers:
            self._keep(key, None)
            return False
        answer = self._answers[key]
        if answer is not None:
            self.answered[type(flight.message)] += 1
            self.sent.append(answer)
        return True

    def _take_reply(self, asker: str, reply: Reply) -> None:
        key = (asker, reply.in_reply_to)
        pending = self._pending.get(key)
        if pending is None:
            return
        try:
            place = pending.ask[2].index(reply.responder)
        except ValueError:
            return  # Nobody asked that one.
        replies = pending.replies
        if replies[place] is not None:
            return
        replies[place] = reply
        pending.missing -= 1
        if not pending.missing:
            del self._pending[key]
        conversation = pending.conversation
        if conversation is None:
            if isinstance(reply, Outcome) and not reply.accepted:
                self._agent = pending.asker
                pending.asker.told(self, pending.ask[0], reply)
        elif not pending.missing:
            self._drive(pending.asker, conversation, replies, pending.origin)

    def expire(self, key: Waited, sends: int) -> None:
        """Send a request again whose replies are missing, or tell its asker that none will come."""
        pending = self._pending.get(key)
        if pending is None or pending.sends != sends:
            return
        if pending.conversation is not None and sends >= MOST_SENDS:
            del self._pending[key]
            self._drive(pending.asker, pending.conversation, pending.replies, pending.origin)
            return
        pending.sends += 1
        request, address, responders = pending.ask
        silent = tuple(name for name, reply in zip(responders, pending.replies, strict=True) if reply is None)
        self.published[type(request)] += 1
        self.sent.append(Flight(request, address, pending.asker, silent, request.protocol))
        pause = (
            min(LONGEST_PAUSE_SECONDS, REPLY_SECONDS * 2**sends)
            if pending.conversation is None
            else REPLY_SECONDS
        )
        self._deadlines(pause, key, pending.sends)

    def _expire_by_timer(self, seconds: int, waited: Waited, sends: int) -> None:
        self._timer(self.now + seconds, self.expire, waited, sends)


def protocol_counts(exchange: Exchange) -> dict[str, int]:
    """Count the publications of each protocol; a reply counts under its request's."""
    counts = {protocol.code: 0 for protocol in PROTOCOLS}
    for kinds in (exchange.published, exchange.answered):
        for kind, count in kinds.items():
            counts[kind.protocol] += count
    return counts
