"""Double-entry book-keeping in whole 1e-5 EUR: what is posted to one account is taken from another."""

from __future__ import annotations

from typing import Final

from voltagora.domain.units import CENTI_MILLI

MARKET: Final = "MD"
"""The account of the mechanism design agent itself."""


class Ledger:
    """Accounts whose balances always sum to 0; `MD`, `CS/<station>`, `EV/<station>`, `EP/<id>`, `EC/<id>`."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {MARKET: 0}

    def pay(self, payer: str, payee: str, amount: int) -> None:
        """Move an amount of 1e-5 EUR from one account to another; a negative one moves the other way."""
        self.balances[payer] = self.balances.get(payer, 0) - amount
        self.balances[payee] = self.balances.get(payee, 0) + amount

    def balance_eur(self, account: str) -> float:
        """Give what an account holds, EUR."""
        return self.balances.get(account, 0) / CENTI_MILLI

    @property
    def total(self) -> int:
        """The sum of all balances, 1e-5 EUR: 0, or something is wrong."""
        return sum(self.balances.values())
