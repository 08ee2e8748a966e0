"""What the messages of a protocol mean and which rules bind them, as far as no type says it.

Published with the AsyncAPI document, so that whoever writes an agent from it alone need not guess.
"""

from __future__ import annotations

from typing import Final

RULES: Final[dict[str, str]] = {
    "CP1": (
        "A vehicle asks every recommender it knows at once (with `preferences.network`: that network's "
        "alone) and waits for all of them or for the time-out. The stay is `[arrival, departure)` and to "
        "come, `energy_kwh` what the battery must gain in it. A recommender offers at most 3 distinct "
        "stations, best first, in each the fitting connector that its station listed first: its type is "
        "equal, its power_kw at least what is asked, and no reservation overlaps, half-open: `a.start < "
        "b.end and b.start < a.end`. Recommendation ids are `<recommender>-<n>`, never used twice, tokens "
        "unguessable; `distance_km` is the great circle with R = 6371.0088; `expires_at` 10 minutes after "
        "`issued_at`, at most `arrival`. Use only what was issued to you for the stay you asked for."
    ),
    "CP2": (
        "`recommendation` goes as it was issued; arrival, departure, energy_kwh and connector_type of "
        "`preferences` equal its own, and desired_soc, if given, soc + energy_kwh / capacity_kwh within "
        "0.001. The station has it vouched for (CP5), looks whether connector and vehicle are free for "
        "the stay, schedules, sends CP8 and CP12 without waiting for their outcomes, and answers. "
        "`reservation` is the recommendation's id: one recommendation, one booking, one answer for ever, "
        "also to a repeat with another msg_id and after expiry. Schedule, buy and sell cover the slots "
        "that share time with the stay; the schedule is metered at the connector, above 0 into the "
        "vehicle, and the battery gains exactly energy_kwh: no partial schedule, else `infeasible` with "
        "possible_kwh. cost_eur is the sum of what is charged at buy less what is discharged at sell. "
        "Prices are fixed at booking. Missing prices are asked for (CP7), else `no_prices`. No outcome "
        "after three sends: the vehicle cancels (CP3) as soon as it can."
    ),
    "CP3": (
        "Either side proposes to change a reservation; absent terms stay as booked. `Accept`, `Reject` or "
        "`Counter` with other terms, which are answered by a start with round + 1; repeating the other's "
        "terms accepts them. After 3 rounds `Reject`. A station's terms, also those with which it "
        "accepts, carry the session they make: schedule, buy, sell, cost_eur. A change that overlaps a "
        "reservation or is infeasible is never accepted; an accepted one is followed by CP8 and, if times "
        "changed, CP12. A vehicle cancels with terms energy_kwh 0 before arrival: always accepted, also "
        "for a reservation the station has never seen (which is remembered: a late CP2 is refused "
        "`released`); CP8 all zero and CP12 `released` follow. Released is final. A reservation of "
        "another vehicle is an `unknown_reservation`."
    ),
    "CP4": (
        "EI, MD and SR answer, each on its own topic. The same content again changes nothing; new content "
        "updates, unless it strands a reservation (`in_use`)."
    ),
    "CP5": (
        "Only the recommender named answers. It accepts, once, what it issued for this station, unaltered "
        "in any field, unused and before expires_at."
    ),
    "CP6": (
        "EI broadcasts a day when a slot changed by more than its threshold. supply is expected "
        "production and discharging, demand expected consumption and charging."
    ),
    "CP7": (
        "MD broadcasts a day when its prices changed. buy is what a vehicle pays for charging, sell what "
        "it earns for discharging. The highest revision of a day counts; broadcasts of other grid areas "
        "do not."
    ),
    "CP8": (
        "The whole session each time, all zero when cancelled; a newer revision replaces the earlier. EI "
        "and MD answer. A session of another station is an `unknown_reservation`."
    ),
    "CP9": ("EI and MD answer. The same content again changes nothing; new content updates."),
    "CP10": ("One day, each of its slots; a newer revision replaces the earlier. EI and MD answer."),
    "CP11": (
        "How sure somebody is of a day, from like days; a station's mean may be negative. EI and MD answer."
    ),
    "CP12": (
        "Which connector a reservation holds and when; `released` when it is cancelled or given up. A "
        "newer revision replaces the earlier. The station's own recommender answers."
    ),
}
