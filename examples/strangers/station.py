#!/usr/bin/env python3
"""A charging station written from the published contract alone, on nothing but paho-mqtt.

    voltagora protocols --asyncapi --output asyncapi.json
    python station.py --broker mqtt://127.0.0.1 --id cs-stranger --contract asyncapi.json

It registers (CP4), has recommendations vouched for (CP5), books and schedules (CP2), tells who must
know (CP8, CP12), lets vehicles cancel (CP3), and keeps prices (CP7). It keeps nothing on disk: see
docs/strangers.md for what that means. A password is taken from the environment, as `password`.
"""

import argparse
import contextlib
import os
import signal
from datetime import UTC, datetime

from contract import Contract, Wrong, is_id, parsed
from post import Mailbox, seconds
from session import Booking, cheapest_first, is_stay, no, rounded, times, utc


class Station:
    def __init__(self, settings, contract, mailbox):
        self.settings, self.contract, self.mailbox = settings, contract, mailbox
        self.id = settings.id
        self.connectors = {connector["id"]: connector for connector in settings.connectors}
        self.prices = {}  # start of a slot, seconds -> (buy, sell)
        self.step = 3600  # seconds in a slot, until a price says otherwise
        self.revisions = {}  # day -> highest revision of its prices
        self.bookings = {}  # reservation -> Booking
        self.outcomes = {}  # reservation -> (recommendation, outcome): one answer for ever
        self.replies = {}  # (asker, request's identity) -> (topic, reply); None while it is not known
        self.released = set()  # (reservation, vehicle)
        self.is_started = False
        self.authorities = {f"ei-{settings.grid_area}", f"md-{settings.grid_area}"}
        self.recommender = f"sr-{settings.network}"
        self.present = {}
        for topic, handler in self.routes().items():
            mailbox.read(topic, handler)

    def routes(self):
        outcomes = "RegistrationOutcome", "UpdateScheduleOutcome"
        return {
            "timer": self.timer,
            "clock": self.hear_clock,
            f"CS/{self.id}/ReserveChargingSlot": self.reserve,
            f"CS/{self.id}/EV/+/EV_start/start_negotiation": self.negotiate,
            f"CS/{self.id}/AuthenticateRecommendationOutcome": self.reply_of("AuthenticationOutcome"),
            f"CS/{self.id}/UpdateAvailabilityOutcome": self.reply_of("UpdateAvailabilityOutcome"),
            "MD/ElectricityPrices": self.broadcast,
            f"MD/{self.id}/ElectricityPrices": self.reply_of("ElectricityPrices"),
            f"SR/{self.id}/RegistrationOutcome": self.reply_of("RegistrationOutcome"),
            **{f"{kind}/{self.id}/{name}": self.reply_of(name) for kind in ("EI", "MD") for name in outcomes},
            **{f"presence/{id}": self.presence for id in (*self.authorities, self.recommender)},
        }

    # Beginning: CP4, and what is told again to who has forgotten.

    def timer(self, message):
        if message.payload == b"start":
            self.start()

    def hear_clock(self, _message):
        if self.mailbox.clock.is_told:
            self.start()

    def start(self):
        if not self.is_started:
            self.is_started = True
            self.register(self.authorities | {self.recommender})

    def register(self, whom):
        settings = self.settings
        location = {"latitude": settings.latitude, "longitude": settings.longitude}
        registration = {"network": settings.network, "grid_area": settings.grid_area, "location": location}
        registration |= {"connectors": settings.connectors, "grid_limit_kw": settings.grid_limit_kw}
        self.mailbox.ask(f"CS/{self.id}/RegisterChargingStation", registration, whom)

    def presence(self, message):
        who = message.topic.rpartition("/")[2]
        if message.payload == b"online" and not message.retain and self.is_started:
            self.register({who})
            for booking in self.bookings.values():
                if booking.departure > self.mailbox.clock.now():
                    self.tell(booking, {who})

    def tell(self, booking, whom):
        """CP8 to EI and MD, CP12 to the recommender."""
        about = {"reservation": booking.id, "revision": booking.revision}
        if areas := whom & self.authorities:
            session = {"schedule": booking.schedule, "buy": booking.buy, "sell": booking.sell}
            session |= {"grid_area": self.settings.grid_area, "cost_eur": booking.cost_eur}
            self.mailbox.ask(f"CS/{self.id}/UpdatedChargingSchedule", about | session, areas)
        if self.recommender in whom:
            stay = {name: booking.recommendation[name] for name in ("connector", "arrival", "departure")}
            state = {"state": "released" if booking.is_released else "reserved"}
            self.mailbox.ask(
                f"CS/{self.id}/UpdatedStationAvailability", about | stay | state, {self.recommender}
            )

    def reply_of(self, name):
        """Make the handler of a topic on which replies come."""

        def take(message):
            try:
                reply = self.contract.read(message.payload, name)
            except (Wrong, ValueError):
                return
            question = self.mailbox.answered(reply)
            if question and reply.get("reason") == "not_registered":
                self.register({reply["responder"]})
                self.mailbox.ask(question.topic, dict(question.message), {reply["responder"]})

        return take

    # Prices: CP7.

    def broadcast(self, message):
        try:
            news = self.contract.read(message.payload, "PricesBroadcast")
        except (Wrong, ValueError):
            return
        # What is retained may be of an earlier run: it counts until something is said in this one.
        self.take_prices(news, 0 if message.retain else news["revision"])

    def take_prices(self, news, revision):
        if news["grid_area"] == self.settings.grid_area and revision >= self.revisions.get(news["day"], 0):
            self.revisions[news["day"]] = revision
            self.step = news["buy"]["step_minutes"] * 60
            first = seconds(news["buy"]["start"])
            for place, pair in enumerate(zip(news["buy"]["values"], news["sell"]["values"], strict=False)):
                self.prices[first + place * self.step] = pair

    def slots(self, arrival, departure):
        """List the slots that share time with a stay: start, and hours inside the stay."""
        first = arrival - arrival % self.step
        starts = range(first, departure, self.step)
        return [(it, (min(departure, it + self.step) - max(arrival, it)) / 3600) for it in starts]

    # Booking: CP2, and CP5 before it.

    def reserve(self, message):
        try:
            request = self.contract.read(message.payload, "ReserveChargingSlot")
            wish, offer = request["preferences"], request["recommendation"]
            for name, stay in (("preferences", wish), ("recommendation", offer)):
                if not is_stay(stay):
                    raise Wrong(f"{name}.departure")
            if request["battery"]["min_soc"] > request["battery"]["max_soc"]:
                raise Wrong("battery.min_soc")
        except Wrong as wrong:
            return self.refuse_malformed(message, str(wrong))
        except ValueError:
            return None  # Who knows whose question it was.
        # Whoever knows the token is the vehicle; anybody else asks another question.
        identity = request["msg_id"], offer["id"], offer["token"]
        topic = f"EV/{offer['vehicle']}/ReservationOutcome"
        if self.is_repeat(offer["vehicle"], identity):
            return None
        refusal = self.refusal(request)
        if refusal:
            return self.answer(topic, request, offer["vehicle"], identity, refusal)

        def vouched(reply):
            if reply is None or not reply["accepted"]:
                reason = "expired" if reply and reply["reason"] == "expired" else "not_authentic"
                self.answer(topic, request, offer["vehicle"], identity, no(reason))
            else:
                self.with_prices(wish, lambda: self.book(topic, request, identity))

        question = {"recommendation": offer}
        self.mailbox.ask(f"CS/{self.id}/AuthenticateRecommendation", question, {self.recommender}, vouched)
        return None

    def refusal(self, request):
        """Give the outcome that needs nobody else's word, if there is one."""
        offer, wish = request["recommendation"], request["preferences"]
        if offer["station"] != self.id:
            return no("unknown_station", "recommendation.station")
        if offer["id"] in self.outcomes:
            same, outcome = self.outcomes[offer["id"]]
            return outcome if same == offer else no("not_authentic", "recommendation")
        if (offer["id"], offer["vehicle"]) in self.released:
            return no("released")
        for name in ("arrival", "departure", "energy_kwh", "connector_type"):
            if wish[name] != offer[name]:
                return no("invalid_request", f"preferences.{name}")
        battery = request["battery"]
        reached = battery["soc"] + wish["energy_kwh"] / battery["capacity_kwh"]
        if abs(wish.get("desired_soc", reached) - reached) > 0.001 + 1e-12:
            return no("invalid_request", "preferences.desired_soc")
        if offer["recommender"] != self.recommender:
            return no("not_authentic", "recommendation.recommender")
        return None

    def with_prices(self, stay, then):
        """Ask for the day of the first slot without a price, until there is none or no answer helps."""
        missing = [slot for slot, _ in self.slots(*times(stay)) if slot not in self.prices]
        if not missing:
            return then()
        today = datetime.fromtimestamp(self.mailbox.clock.now(), UTC).date()
        ahead = (datetime.fromtimestamp(missing[0], UTC).date() - today).days
        if not -7 <= ahead <= 7:
            return then()

        def told(reply):
            if reply is None or "reason" in reply:
                return then()
            self.take_prices(reply, reply["revision"])
            still = [slot for slot, _ in self.slots(*times(stay)) if slot not in self.prices]
            return self.with_prices(stay, then) if still and still[0] > missing[0] else then()

        question = {"grid_area": self.settings.grid_area, "day_index": ahead}
        price_maker = {f"md-{self.settings.grid_area}"}
        return self.mailbox.ask(f"MD/{self.id}/ElectricityPricesRequest", question, price_maker, told)

    def book(self, topic, request, identity):
        # All is looked at only now: much may have happened while the others answered.
        offer = request["recommendation"]
        outcome = self.decide(request)
        if outcome["accepted"]:
            self.bookings[offer["id"]] = booking = Booking(offer, outcome)
            self.tell(booking, self.authorities | {self.recommender})
        self.outcomes[offer["id"]] = offer, outcome
        self.answer(topic, request, offer["vehicle"], identity, outcome)

    def decide(self, request):
        offer, wish = request["recommendation"], request["preferences"]
        arrival, departure = times(wish)
        connector = self.connectors.get(offer["connector"])
        if (offer["id"], offer["vehicle"]) in self.released:
            return no("released")
        if connector is None or connector["connector_type"] != offer["connector_type"]:
            return no("invalid_request", "recommendation.connector")
        for booking in self.bookings.values():
            is_same = booking.connector == connector["id"] or booking.vehicle == offer["vehicle"]
            # Half-open: who leaves at ten makes room for who comes at ten.
            if (
                is_same
                and not booking.is_released
                and booking.arrival < departure
                and arrival < booking.departure
            ):
                return no("slot_taken")
        slots = self.slots(arrival, departure)
        if any(slot not in self.prices for slot, _ in slots):
            return no("no_prices")
        energies, possible = self.schedule(request, connector, slots)
        if energies is None:
            return no("infeasible") | {"possible_kwh": rounded(possible, 6)}
        buy, sell = ([self.prices[slot][side] for slot, _ in slots] for side in (0, 1))
        cost = sum(energy * price for energy, price in zip(energies, buy, strict=True))
        series = {"start": utc(slots[0][0]), "step_minutes": self.step // 60}
        return {
            "accepted": True,
            "reservation": offer["id"],
            "schedule": series | {"values": energies},
            "buy": series | {"values": buy},
            "sell": series | {"values": sell},
            "cost_eur": rounded(cost, 5),
        }

    def schedule(self, request, connector, slots):
        """Give what the connector gives in each slot, or None, and what the battery could gain, kWh."""
        battery, wish = request["battery"], request["preferences"]
        efficiency = battery.get("charge_efficiency", 1.0)
        power = min(connector["power_kw"], battery["max_charge_kw"], wish["power_kw"])
        limits = [min(power * hours, self.headroom(slot)) for slot, hours in slots]
        room = battery["capacity_kwh"] * max(0.0, battery["max_soc"] - battery["soc"])
        possible = min(room, efficiency * sum(limits))
        if wish["energy_kwh"] > possible + 1e-6:
            return None, possible
        buy = [self.prices[slot][0] for slot, _ in slots]
        return cheapest_first(wish["energy_kwh"] / efficiency, limits, buy), possible

    def headroom(self, slot):
        """Give what the connection to the grid leaves free in a slot, kWh."""
        taken = sum(booking.energy_in(slot, self.step) for booking in self.bookings.values())
        return max(0.0, self.settings.grid_limit_kw * self.step / 3600 - taken)

    # Negotiating: CP3. This station does not haggle, but lets everybody cancel who has not come yet.

    def negotiate(self, message):
        vehicle = message.topic.split("/")[3]
        topic = f"CS/{self.id}/EV/{vehicle}/EV_start/accept_negotiation"
        try:
            request = self.contract.read(message.payload, "VehicleProposal")
        except Wrong as wrong:
            return self.refuse_malformed(message, str(wrong), topic)
        except ValueError:
            return None
        if self.is_repeat(vehicle, request["msg_id"]):
            return None
        reservation, booking = request["reservation"], self.bookings.get(request["reservation"])
        cancels = request["terms"].get("energy_kwh") == 0
        said = {"reservation": reservation, "round": request["round"]}
        if (booking is not None and booking.vehicle != vehicle) or (booking is None and not cancels):
            reply = {"reason": "unknown_reservation", "field": "reservation"}
        elif not cancels or (booking is not None and self.mailbox.clock.now() >= booking.arrival):
            reply = said | {"decision": "Reject"}
        else:
            reply = said | {"decision": "Accept", "terms": self.cancel(reservation, vehicle, booking)}
        return self.answer(topic, request, vehicle, request["msg_id"], reply)

    def cancel(self, reservation, vehicle, booking):
        """Release a reservation, even one that is still to come; gives what is left of it: nothing."""
        self.released.add((reservation, vehicle))
        empty = {"start": utc(int(self.mailbox.clock.now())), "step_minutes": self.step // 60, "values": []}
        if booking is None:
            return {"energy_kwh": 0, "cost_eur": 0, "schedule": empty, "buy": empty, "sell": empty}
        if not booking.is_released:
            booking.release()
            self.tell(booking, self.authorities | {self.recommender})
        session = {"schedule": booking.schedule, "buy": booking.buy, "sell": booking.sell}
        return {"energy_kwh": 0, "cost_eur": 0} | session

    # Answering: every request once, every repeat with the same answer.

    def is_repeat(self, asker, identity):
        key = asker, identity
        if key not in self.replies:
            self.replies[key] = None
            return False
        if self.replies[key]:
            self.mailbox.say(*self.replies[key])
        return True

    def answer(self, topic, request, asker, identity, reply):
        reply = {"in_reply_to": request["msg_id"], "responder": self.id} | reply
        self.replies[asker, identity] = topic, reply
        self.mailbox.say(topic, reply)

    def refuse_malformed(self, message, field, topic=None):
        """Name the wrong field, if it can be told who asked what."""
        request = parsed(message.payload)
        offer = request.get("recommendation")
        vehicle = offer.get("vehicle") if isinstance(offer, dict) else None
        msg_id = request.get("msg_id")
        if is_id(msg_id) and (topic or is_id(vehicle)):
            reply = {"in_reply_to": msg_id, "responder": self.id, "reason": "invalid_request", "field": field}
            is_outcome = topic is None
            topic = topic or f"EV/{vehicle}/ReservationOutcome"
            self.mailbox.say(topic, reply | {"accepted": False} if is_outcome else reply)


def connector(text):
    """Read `TYPE=KW`."""
    name, _, power = text.rpartition("=")
    return name, float(power)


def settings_of(words=None):
    options = argparse.ArgumentParser(description="A charging station.")
    options.add_argument("--broker", default=os.environ.get("BROKER", "127.0.0.1"), help="mqtt://HOST:PORT")
    options.add_argument("--id", default=os.environ.get("CLIENT_NAME", "cs-stranger"))
    options.add_argument("--user", default=os.environ.get("username"))  # noqa: SIM112
    options.add_argument(
        "--contract", default="asyncapi.json", help="what `voltagora protocols --asyncapi` writes"
    )
    options.add_argument("--network", default="main")
    options.add_argument("--grid-area", default="main")
    options.add_argument("--latitude", type=float, default=0.0)
    options.add_argument("--longitude", type=float, default=0.0)
    options.add_argument(
        "--connector", type=connector, action="append", metavar="TYPE=KW", help="may be repeated"
    )
    options.add_argument("--grid-limit-kw", type=float, help="the sum of the connectors if left out")
    options.add_argument("--reply-seconds", type=float, default=10, help="how long a reply may take")
    settings = options.parse_args(words)
    listed = settings.connector or [("3 phase-32A per phase", 22.0)]
    settings.connectors = [
        {"id": f"c{number}", "connector_type": name, "power_kw": power, "level": 2, "v2g_capable": False}
        for number, (name, power) in enumerate(listed, 1)
    ]
    settings.grid_limit_kw = settings.grid_limit_kw or sum(power for _, power in listed)
    return settings


def main():
    settings = settings_of()
    # On the platform the environment names them so.
    password = os.environ.get("password")  # noqa: SIM112
    mailbox = Mailbox(settings.id, settings.broker, settings.user, password, settings.reply_seconds)
    Station(settings, Contract(settings.contract), mailbox)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        mailbox.run()


if __name__ == "__main__":
    main()
