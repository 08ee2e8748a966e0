"""Opens a connection, unless somebody leaves first: a broker that is not there must hold nobody."""

from __future__ import annotations

import asyncio

from voltagora.live.transport import Listener, Transport


async def opened(transport: Transport, listener: Listener, left: asyncio.Event) -> bool:
    """Open a transport.

    Args:
        transport: the connection.
        listener: who hears of it.
        left: set when nobody waits for the connection any longer.

    Returns:
        Whether it is open; if not, somebody left.

    Raises:
        VoltAgoraError: the broker refuses for good.
    """
    opening = asyncio.ensure_future(transport.open(listener))
    leaving = asyncio.ensure_future(left.wait())
    try:
        await asyncio.wait({opening, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            return True
        return False
    finally:
        for each in (opening, leaving):
            each.cancel()
        await asyncio.gather(opening, leaving, return_exceptions=True)
