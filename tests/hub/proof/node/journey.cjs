// One journey with mqtt.js: node journey.cjs FOLDER URL VERSION PREFIX. Prints what was seen as JSON.
const { createRequire } = require("node:module");
const [folder, url, version, prefix] = process.argv.slice(2);
const mqtt = createRequire(folder + "/")("mqtt");

const common = { protocolVersion: Number(version), username: "ada", password: "right", reconnectPeriod: 0 };
const expiry = (seconds) => (version === "5" ? { properties: { sessionExpiryInterval: seconds } } : {});
const seen = {};

class Ear {
  constructor(options) {
    this.messages = [];
    this.waiting = null;
    this.client = mqtt.connect(url, { ...common, ...options });
    this.client.on("message", (topic, payload, packet) => {
      this.messages.push([topic, payload.toString("hex"), packet.qos, packet.retain]);
      if (this.waiting) this.waiting();
    });
    this.connected = new Promise((resolve, reject) => {
      this.client.on("connect", resolve);
      this.client.on("error", reject);
    });
  }
  async hear(count) {
    while (this.messages.length < count) await new Promise((resolve) => (this.waiting = resolve));
    return this.messages.splice(0, count);
  }
}

async function refused() {
  try {
    await new Ear({ password: "wrong" }).connected;
    return "let in";
  } catch (error) {
    return error.code;
  }
}

async function main() {
  seen.refused = await refused();
  const ear = new Ear({});
  await ear.connected;
  await ear.client.subscribeAsync(prefix + "/round/#", { qos: 2 });
  for (const qos of [0, 1, 2]) {
    await ear.client.publishAsync(`${prefix}/round/${qos}`, Buffer.from([0, 255, qos]), { qos });
  }
  seen.round = (await ear.hear(3)).sort();

  await ear.client.publishAsync(prefix + "/kept", "value", { qos: 1, retain: true });
  await ear.client.subscribeAsync(prefix + "/kept", { qos: 1 });
  seen.retained = await ear.hear(1);

  await ear.client.subscribeAsync(prefix + "/will", { qos: 1 });
  const dying = new Ear({ will: { topic: prefix + "/will", payload: Buffer.from("gone"), qos: 1 } });
  await dying.connected;
  dying.client.stream.destroy();
  seen.will = await ear.hear(1);

  const kept = { clientId: prefix + "-kept", clean: false, ...expiry(100) };
  const before = new Ear(kept);
  await before.connected;
  await before.client.subscribeAsync(prefix + "/queue", { qos: 2 });
  before.client.stream.destroy();
  await new Promise((resolve) => before.client.on("close", resolve));
  for (const qos of [1, 2]) await ear.client.publishAsync(prefix + "/queue", "waits" + qos, { qos });
  const after = new Ear(kept);
  seen.present = (await after.connected).sessionPresent;
  seen.queued = (await after.hear(2)).map((each) => Buffer.from(each[1], "hex").toString()).sort();
  for (const each of [ear, after]) await each.client.endAsync();
}

main().then(
  () => process.stdout.write(JSON.stringify(seen), () => process.exit(0)),
  (error) => { console.error(error); process.exit(1); },
);
