"""Joins what EI and MD record of a day into one record of the area."""

from __future__ import annotations

from datetime import date

from voltagora.domain.records import DayRecord, EnergyDayRecord, PriceDayRecord, Record, RecordSink


class DayJoiner:
    """A sink that passes records on, the two halves of each day as one."""

    def __init__(self, sink: RecordSink) -> None:
        self._sink = sink
        self._energy: dict[tuple[str, date], EnergyDayRecord] = {}
        self._prices: dict[tuple[str, date], PriceDayRecord] = {}

    def __call__(self, record: Record) -> None:
        """Take one record."""
        kind = type(record)
        if kind is not EnergyDayRecord and kind is not PriceDayRecord:
            self._sink(record)
        elif isinstance(record, EnergyDayRecord):
            self._energy[record.area, record.day] = record
            self._join(record.area, record.day)
        elif isinstance(record, PriceDayRecord):
            self._prices[record.area, record.day] = record
            self._join(record.area, record.day)

    def _join(self, area: str, day: date) -> None:
        """Pass on a day of which both halves have come."""
        key = (area, day)
        if key in self._energy and key in self._prices:
            energy, prices = self._energy.pop(key), self._prices.pop(key)
            self._sink(
                DayRecord(
                    area=energy.area,
                    day=energy.day,
                    start=energy.start,
                    step_minutes=energy.step_minutes,
                    production_kwh=energy.production_kwh,
                    consumption_kwh=energy.consumption_kwh,
                    charging_kwh=energy.charging_kwh,
                    discharging_kwh=energy.discharging_kwh,
                    buy_eur_per_kwh=prices.buy_eur_per_kwh,
                    sell_eur_per_kwh=prices.sell_eur_per_kwh,
                )
            )
