#!/usr/bin/env node
// An electric vehicle written from the published contract alone, on nothing but mqtt.js.
//
//   voltagora protocols --asyncapi --output asyncapi.json
//   npm install mqtt
//   node vehicle.mjs --broker mqtt://127.0.0.1 --id ev-stranger --contract asyncapi.json
//
// It asks the recommenders (CP1), books the cheapest of what they offer (CP2), cancels a booking that
// nobody answers for, and lets a station change what it booked if that costs nothing (CP3). What
// becomes of it is printed, one JSON object a line. A password is taken from the environment, as
// `password`. It keeps nothing on disk: see docs/strangers.md for what that means.

import { parseArgs } from "node:util";
import mqtt from "mqtt";
import { Contract, Wrong, isId, parsed } from "./contract.mjs";

const MOST_SENDS = 3;
const CANCEL_AGAIN_SECONDS = 60;
const MOST_ROUNDS = 2;

const { values: settings } = parseArgs({
  options: {
    broker: { type: "string", default: process.env.BROKER ?? "mqtt://127.0.0.1" },
    id: { type: "string", default: process.env.CLIENT_NAME ?? "ev-stranger" },
    user: { type: "string", default: process.env.username },
    contract: { type: "string", default: "asyncapi.json" },
    recommenders: { type: "string", default: "sr-main" }, // ids, separated by commas
    "arrives-in-hours": { type: "string", default: "2" },
    "stays-hours": { type: "string", default: "4" },
    "energy-kwh": { type: "string", default: "12" },
    "capacity-kwh": { type: "string", default: "40" },
    soc: { type: "string", default: "0.4" },
    "connector-type": { type: "string", default: "3 phase-32A per phase" },
    "power-kw": { type: "string", default: "11" },
    "reply-seconds": { type: "string", default: "10" },
    latitude: { type: "string", default: "0" },
    longitude: { type: "string", default: "0" },
  },
});

class Vehicle {
  constructor(client, contract) {
    this.client = client;
    this.contract = contract;
    this.id = settings.id;
    this.recommenders = settings.recommenders.split(",");
    this.clock = { told: 0, speed: 1, simulated: 0 }; // the real time, until somebody says otherwise
    this.asked = new Map(); // msg_id -> what happens with a reply
    this.answers = new Map(); // station and msg_id -> our reply, for repeats
    this.isStarted = false;
    this.held = null; // what is booked
    this.born = Date.now(); // a program that begins anew must not use an id again
    this.sent = 0;
    client.on("connect", () => this.connected());
    client.on("message", (topic, payload, packet) => this.arrived(topic, payload, packet.retain));
  }

  connected() {
    const topics = ["timer", "clock", `EV/${this.id}/ChargingRecommendations`, `EV/${this.id}/ReservationOutcome`];
    topics.push(`CS/+/EV/${this.id}/EV_start/accept_negotiation`, `CS/+/EV/${this.id}/CS_start/start_negotiation`);
    this.client.subscribe(topics, { qos: 1 });
    this.say(`presence/${this.id}`, "online", true);
  }

  arrived(topic, payload, isRetained) {
    const last = topic.split("/").pop();
    if (topic === "timer" && payload.toString() === "start") this.start();
    else if (topic === "clock") this.follow(payload, isRetained);
    else if (last === "ChargingRecommendations") this.replied(payload, "ChargingRecommendations");
    else if (last === "ReservationOutcome") this.replied(payload, "ReservationOutcome");
    else if (last === "accept_negotiation") this.replied(payload, "StationAnswer");
    else if (last === "start_negotiation") this.negotiate(topic.split("/")[1], payload);
  }

  say(topic, message, retain = false) {
    const payload = typeof message === "string" ? message : JSON.stringify(message);
    this.client.publish(topic, payload, { qos: 1, retain });
  }

  // Time, seconds UTC.

  now() {
    return this.clock.simulated + (Date.now() / 1000 - this.clock.told) * this.clock.speed;
  }

  follow(payload, isRetained) {
    let news;
    try {
      news = parsed(payload);
    } catch {
      return;
    }
    // What is not retained was said just now, whatever the clock of this machine says.
    const told = isRetained ? seconds(news.start) : Date.now() / 1000;
    const clock = { told, speed: news.speed, simulated: seconds(news.simulated_time) };
    if (!Object.values(clock).every(Number.isFinite)) return;
    this.clock = clock;
    this.start();
  }

  // Asking: the same message again after a while, three times in all.

  ask(topic, message, whom) {
    this.sent += 1;
    const request = { msg_id: `${this.born}-${this.sent}`, ...message };
    return new Promise((resolve) => {
      const replies = [];
      let sends = 0;
      const end = () => {
        clearInterval(timer);
        this.asked.delete(request.msg_id);
        resolve(replies);
      };
      const send = () => {
        if (sends === MOST_SENDS) return end();
        sends += 1;
        this.say(topic, request);
      };
      const timer = setInterval(send, 1000 * Number(settings["reply-seconds"]));
      this.asked.set(request.msg_id, (reply) => {
        // Believe only those who were asked, each once.
        if (!whom.includes(reply.responder) || replies.some((it) => it.responder === reply.responder)) return;
        replies.push(reply);
        if (replies.length === whom.length) end();
      });
      send();
    });
  }

  replied(payload, message) {
    try {
      const reply = this.contract.read(payload, message);
      this.asked.get(reply.in_reply_to)?.(reply);
    } catch (error) {
      if (!(error instanceof Wrong || error instanceof SyntaxError)) throw error;
    }
  }

  // Booking.

  start() {
    if (this.isStarted) return;
    this.isStarted = true;
    this.reserve().catch((error) => {
      console.error(error);
      process.exitCode = 1;
      this.client.end();
    });
  }

  async reserve() {
    const wish = this.wish();
    for (let round = 1; round <= MOST_ROUNDS && this.now() < seconds(wish.arrival); round++) {
      if (round > 1) await pause(1 + Math.random());
      for (const offer of await this.offers(wish)) {
        const outcome = await this.book(offer, wish);
        if (outcome?.accepted) {
          this.held = { ...wish, station: offer.station, ...outcome };
          return tell({ booked: outcome.reservation, station: offer.station, cost_eur: outcome.cost_eur });
        }
        tell({ refused: offer.id, station: offer.station, reason: outcome?.reason ?? "timeout" });
        if (!outcome) {
          // Perhaps it is booked and we were not told: nothing else may be booked before that is known.
          await this.cancel(offer);
          break;
        }
      }
    }
    return tell({ gave_up: true });
  }

  wish() {
    const arrival = Math.ceil(this.now() + 3600 * Number(settings["arrives-in-hours"]));
    return {
      arrival: utc(arrival),
      departure: utc(arrival + Math.round(3600 * Number(settings["stays-hours"]))),
      energy_kwh: Number(settings["energy-kwh"]),
      connector_type: settings["connector-type"],
      power_kw: Number(settings["power-kw"]),
      v2g_allowed: false,
      min_soc: 0,
    };
  }

  // CP1: gives what is offered, the cheapest first, of equals the nearest.
  async offers(wish) {
    const location = { latitude: Number(settings.latitude), longitude: Number(settings.longitude) };
    const request = { preferences: wish, location };
    const replies = await this.ask(`EV/${this.id}/RequestChargingRecommendations`, request, this.recommenders);
    const price = (offer) => offer.expected_price_eur_kwh ?? Infinity;
    return replies
      .flatMap((reply) => (reply.recommendations ?? []).filter((it) => it.recommender === reply.responder))
      .filter((offer) => offer.vehicle === this.id)
      .filter((offer) => ["arrival", "departure", "energy_kwh", "connector_type"].every((it) => offer[it] === wish[it]))
      .sort((one, other) => price(one) - price(other) || one.distance_km - other.distance_km);
  }

  // CP2: gives the outcome, or undefined if there was none.
  async book(offer, wish) {
    const battery = {
      capacity_kwh: Number(settings["capacity-kwh"]),
      soc: Number(settings.soc),
      min_soc: 0,
      max_soc: 1,
      max_charge_kw: Number(settings["power-kw"]),
      max_discharge_kw: 0,
    };
    const request = { recommendation: offer, battery, preferences: wish };
    const [outcome] = await this.ask(`CS/${offer.station}/ReserveChargingSlot`, request, [offer.station]);
    return outcome;
  }

  // CP3: cancels, again and again until that is answered or it is too late.
  async cancel(offer) {
    const topic = `CS/${offer.station}/EV/${this.id}/EV_start/start_negotiation`;
    while (this.now() < seconds(offer.arrival)) {
      const terms = { energy_kwh: 0 };
      const [answer] = await this.ask(topic, { reservation: offer.id, round: 1, terms }, [offer.station]);
      if (answer?.decision === "Accept") return tell({ cancelled: offer.id });
      await pause(CANCEL_AGAIN_SECONDS);
    }
    return tell({ uncertain: offer.id });
  }

  // Negotiating: CP3, started by a station. What costs no more and leaves the stay as it is may be had.

  negotiate(station, payload) {
    const topic = `CS/${station}/EV/${this.id}/CS_start/accept_negotiation`;
    let request;
    try {
      request = this.contract.read(payload, "StationProposal");
    } catch (error) {
      return this.refuseMalformed(topic, payload, error);
    }
    const key = `${station} ${request.msg_id}`;
    if (!this.answers.has(key)) this.answers.set(key, this.decide(station, request));
    return this.say(topic, this.answers.get(key));
  }

  decide(station, request) {
    const reply = { in_reply_to: request.msg_id, responder: this.id };
    if (this.held?.reservation !== request.reservation || this.held.station !== station) {
      return { ...reply, reason: "unknown_reservation", field: "reservation" };
    }
    const { held } = this;
    const { terms } = request;
    const isSame = ["arrival", "departure", "energy_kwh"].every((it) => !(it in terms) || terms[it] === held[it]);
    const isAccepted = isSame && terms.cost_eur <= held.cost_eur && request.round <= 3 && this.now() < seconds(held.arrival);
    if (isAccepted) Object.assign(held, { schedule: terms.schedule, cost_eur: terms.cost_eur });
    const decision = isAccepted ? "Accept" : "Reject";
    return { ...reply, reservation: request.reservation, round: request.round, decision };
  }

  refuseMalformed(topic, payload, error) {
    if (error instanceof Wrong) {
      const { msg_id } = parsed(payload);
      const refusal = { in_reply_to: msg_id, responder: this.id, reason: "invalid_request", field: error.message };
      if (isId(msg_id)) this.say(topic, refusal);
    } else if (!(error instanceof SyntaxError || error instanceof TypeError)) {
      throw error; // Who knows whose question the others were.
    }
  }
}

function seconds(text) {
  return Date.parse(text) / 1000;
}

function utc(moment) {
  return new Date(moment * 1000).toISOString().replace(/\.\d+/, "");
}

function pause(long) {
  return new Promise((resolve) => {
    setTimeout(resolve, long * 1000);
  });
}

function tell(what) {
  console.log(JSON.stringify(what));
}

const client = mqtt.connect(settings.broker, {
  protocolVersion: 5,
  clientId: `stranger-${settings.id}`,
  clean: false,
  properties: { sessionExpiryInterval: 86_400 },
  username: settings.user,
  password: process.env.password,
  will: { topic: `presence/${settings.id}`, payload: "offline", qos: 1, retain: true },
});
new Vehicle(client, new Contract(settings.contract));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    setTimeout(() => process.exit(0), 1000); // without a connection nobody takes the goodbye
    client.publish(`presence/${settings.id}`, "offline", { qos: 1, retain: true }, () => client.end(() => process.exit(0)));
  });
}
