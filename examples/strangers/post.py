"""MQTT for one agent: what comes is handed over one by one, what is asked is asked until answered.

A thread of paho's reads from the network; everything else happens in the one that calls `run`, so
that an agent needs no locks.
"""

import contextlib
import json
import queue
import time
from datetime import datetime

import paho.mqtt.client as mqtt

REPLY_SECONDS = 10
MOST_SENDS = 3
LONGEST_PAUSE_SECONDS = 300


class Mailbox:
    def __init__(self, id, broker, user=None, password=None, reply_seconds=REPLY_SECONDS):
        host, _, port = broker.removeprefix("mqtt://").partition(":")
        self.id, self.reply_seconds = id, reply_seconds
        self.clock = Clock()
        self.routes = []  # (topic filter, handler)
        self.asked = {}  # msg_id -> Question
        self.sent = 0
        self.events = queue.Queue(maxsize=100_000)
        self.client = client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, f"stranger-{id}", clean_session=False
        )
        client.username_pw_set(user, password)
        client.will_set(f"presence/{id}", "offline", qos=1, retain=True)
        client.on_connect = self.connected
        client.on_message = lambda _client, _data, message: self.events.put(message)
        self.address = host, int(port or 1883)

    def read(self, topic_filter, handler):
        """Hand over what comes on a topic: `handler(message)`."""
        self.routes.append((topic_filter, handler))

    def say(self, topic, message, retain=False):
        payload = message if isinstance(message, str) else json.dumps(message)
        self.client.publish(topic, payload, qos=1, retain=retain)

    def ask(self, topic, message, whom, then=None):
        """Send a request and go on with `then(reply)`, or with `then(None)` after three sends.

        Without `then` nobody waits, and it is sent until all of `whom` have answered.
        """
        # Unlike a count, the time does not begin anew when the program does.
        self.sent += 1
        message["msg_id"] = f"{self.started}-{self.sent}"
        self.asked[message["msg_id"]] = Question(topic, message, set(whom), then, self.reply_seconds)
        self.say(topic, message)

    def answered(self, reply):
        """Take a reply; returns the request when the reply is the first of somebody who was asked."""
        question = self.asked.get(reply["in_reply_to"])
        if question is None or reply["responder"] not in question.whom:
            return None
        question.whom.discard(reply["responder"])
        if not question.whom:
            del self.asked[reply["in_reply_to"]]
        if question.then is not None:
            question.then(reply)
        return question

    def run(self):
        """Connect, and live until interrupted."""
        self.started = int(time.time() * 1000)
        self.client.connect(*self.address, keepalive=20)
        self.client.loop_start()
        try:
            while True:
                with contextlib.suppress(queue.Empty):
                    self.arrived(self.events.get(timeout=0.2))
                self.send_again()
        finally:
            self.client.publish(f"presence/{self.id}", "offline", qos=1, retain=True).wait_for_publish(2)
            self.client.disconnect()
            self.client.loop_stop()

    def connected(self, client, _data, _flags, code, _properties):
        if code.is_failure:
            print(f"the broker does not let {self.id} in: {code}")
            return
        client.subscribe([(topic, 1) for topic, _ in [*self.routes, ("clock", None)]])
        client.publish(f"presence/{self.id}", "online", qos=1, retain=True)

    def arrived(self, message):
        if message.topic == "clock":
            self.clock.follow(message)
        for topic_filter, handler in self.routes:
            if mqtt.topic_matches_sub(topic_filter, message.topic):
                handler(message)

    def send_again(self):
        now = time.monotonic()
        for question in list(self.asked.values()):
            if now < question.due or not self.client.is_connected():
                continue
            if question.then is not None and question.sends >= MOST_SENDS:
                del self.asked[question.message["msg_id"]]
                question.then(None)
                continue
            self.say(question.topic, question.message)
            pause = self.reply_seconds
            if question.then is None:
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2**question.sends)
            question.sends += 1
            question.due = now + pause


class Question:
    def __init__(self, topic, message, whom, then, pause):
        self.topic, self.message, self.whom, self.then = topic, message, whom, then
        self.sends = 1
        self.due = time.monotonic() + pause


class Clock:
    """Simulated time, seconds UTC; the real one until somebody says otherwise on `clock`."""

    def __init__(self):
        self.start, self.speed, self.simulated = 0.0, 1.0, 0.0
        self.is_told = False

    def now(self):
        return self.simulated + (time.time() - self.start) * self.speed

    def follow(self, message):
        try:
            told = json.loads(message.payload)
            start, simulated = seconds(told["start"]), seconds(told["simulated_time"])
            self.speed = float(told["speed"])
        except (ValueError, TypeError, KeyError):
            return
        # What is not retained was said just now, whatever the clock of this machine says.
        self.start, self.simulated = start if message.retain else time.time(), simulated
        self.is_told = True


def seconds(text):
    """Turn `2020-01-31T08:00:00Z` into seconds UTC."""
    return int(datetime.fromisoformat(text).timestamp())
