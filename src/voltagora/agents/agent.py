"""What every agent is, and what it may want of the world that runs it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from voltagora.domain.records import Record
from voltagora.protocols.message import Broadcast, Message, Outcome, Refusal, Reply, Request
from voltagora.protocols.topic import Kind

T = TypeVar("T")
R = TypeVar("R", bound=Reply)

Address: TypeAlias = tuple[str, ...]
"""The ids that fill a topic, in order."""

Memo: TypeAlias = tuple[Any, ...]
"""What an agent wants to be reminded of: a word, then plain values."""


Ask: TypeAlias = tuple[Request, Address, tuple[str, ...]]
"""What a conversation yields: a request, its topic's ids, and from whom a reply is awaited."""

Replies: TypeAlias = list[Any]
"""One reply a responder, in their order; None where none came in time."""

Conversation: TypeAlias = Generator[Ask, Replies, T]

Answer: TypeAlias = Reply | Conversation[Reply] | None
"""What a handler of a request gives: the reply, a conversation that ends in it, or None if not asked."""


class Turn(Protocol):
    """What an agent is given with each call; it stays the same across a conversation's waits."""

    now: int
    """Seconds UTC."""

    def publish(self, broadcast: Broadcast) -> None:
        """Send news to whoever reads."""

    def tell(self, request: Request, address: Address, responders: tuple[str, ...]) -> None:
        """Send a request again and again until each responder has answered; nobody waits for it."""

    def begin(self, conversation: Conversation[None]) -> None:
        """Start a conversation of the agent's own."""

    def wake(self, at: int, memo: Memo) -> None:
        """Ask to be woken at an instant."""

    def draw(self) -> float:
        """Give the next uniform number of [0, 1) of the agent's own stream."""

    def token(self) -> str:
        """Give a text that nobody can guess."""

    def plug(self, station: str, reservation: str, plugged_in: bool) -> None:
        """Plug a vehicle in or out: what a station hears from its hardware, not by protocol."""

    def record(self, record: Record) -> None:
        """Leave a fact for the results."""


class Agent:
    """State and handlers; a subclass names the messages it handles."""

    kind: ClassVar[Kind]
    handles: ClassVar[dict[type[Message], Callable[..., Answer]]] = {}
    """The method that takes each message: `method(self, turn, message, *address)`."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.mark = ""  # live: what sets its message ids apart from those of one it may have been before
        self.numbered_after = 0  # live: what its revisions begin after, if it comes late or comes back
        self._messages_sent = 0

    def next_id(self) -> str:
        """Give a message id that this agent has never used."""
        self._messages_sent += 1
        return f"m{self.mark}{self._messages_sent}"

    def start(self, turn: Turn) -> None:
        """Act on the word `start`."""

    def wake(self, turn: Turn, memo: Memo) -> None:
        """Act on a reminder."""

    def told(self, turn: Turn, request: Request, outcome: Outcome) -> None:
        """Hear that something told with `Turn.tell` was refused."""

    @property
    def relies_on(self) -> tuple[str, ...]:
        """Whom this agent has told things that they must know; live it hears when one of them comes back."""
        return ()

    def returned(self, turn: Turn, peer: str) -> None:
        """Hear that one relied on has come back, perhaps without its memory: tell it all again."""

    def missed(self, turn: Turn) -> None:
        """Hear that news may have gone by unheard; what was read through the market is forgotten."""

    def hardware(self, turn: Turn, reservation: str, plugged_in: bool) -> None:
        """Hear that a vehicle was plugged in or out."""

    def finish(self, turn: Turn) -> None:
        """Record what still stands when the run ends."""


def refuse(
    kind: type[R], request: Request, responder: str, reason: Refusal | str, field: str | None = None
) -> R:
    """Make a refusing reply of a given type."""
    more: dict[str, Any] = {} if field is None else {"field": field}
    if issubclass(kind, Outcome):
        more["accepted"] = False
    return kind(in_reply_to=request.msg_id, responder=responder, reason=str(reason), **more)
