// fhir-kit-client subscribes; express takes what is posted, ws what comes over the websocket:
//   node subscriber.mjs BASE TOKEN HOOK_ORIGIN
import assert from "node:assert/strict";
import express from "express";
import { Client } from "fhir-kit-client";
import WebSocket from "ws";

const [baseUrl, bearerToken, hookOrigin] = process.argv.slice(2);
const client = new Client({ baseUrl, bearerToken });
const here = new URL(hookOrigin);
const backport = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

// What was said, and who waits for more.
class Heard {
  constructor() {
    Object.assign(this, { all: [], waiting: [] });
  }
  take(bundle) {
    this.all.push(bundle);
    this.waiting.splice(0).forEach((wake) => wake());
  }
  async next(holds) {
    const late = setTimeout(() => this.waiting.splice(0).forEach((wake) => wake(true)), 10_000);
    for (;;) {
      const found = this.all.find(holds);
      if (found) {
        clearTimeout(late);
        return found;
      }
      const isLate = await new Promise((wake) => this.waiting.push(wake));
      assert.ok(!isLate, "a notification did not come");
    }
  }
}

// The status of a notification, and the numbers of its events.
function status(bundle) {
  assert.equal(bundle.type, "history");
  const { resource } = bundle.entry[0];
  assert.equal(resource.resourceType, "Parameters");
  const named = (name) => resource.parameter.filter((one) => one.name === name);
  const events = named("notification-event").map(({ part }) =>
    Number(part.find((one) => one.name === "event-number").valueString),
  );
  return { type: named("type")[0].valueCode, subscription: named("subscription")[0].valueReference.reference, events };
}
const of = (id, type, event) => (bundle) => {
  const said = status(bundle);
  return said.subscription.endsWith(`Subscription/${id}`) && said.type === type && (!event || said.events.includes(event));
};

const posted = new Heard();
const app = express();
app.use(express.json({ type: "application/fhir+json" }));
app.post("/hook", (request, response) => {
  assert.equal(request.headers["x-key"], "of-the-subscriber");
  posted.take(request.body);
  response.sendStatus(200);
});
const listening = await new Promise((resolve) => {
  const server = app.listen(here.port, here.hostname, () => resolve(server));
});

const subscription = (patient, channel) => ({
  resourceType: "Subscription",
  status: "requested",
  reason: "new observations",
  criteria: "urn:careledger:topic:record",
  _criteria: {
    extension: [{ url: `${backport}/backport-filter-criteria`, valueString: `Observation?patient=${patient.id}` }],
  },
  channel: {
    ...channel,
    payload: "application/fhir+json",
    _payload: { extension: [{ url: `${backport}/backport-payload-content`, valueCode: "full-resource" }] },
  },
});
const observation = (patient, code) => ({
  resourceType: "Observation",
  status: "final",
  subject: { reference: `Patient/${patient.id}` },
  code: { coding: [{ system: "http://loinc.org", code }] },
});
const create = (body) => client.create({ resourceType: body.resourceType, body });

let socket;
try {
  const patient = await create({ resourceType: "Patient", name: [{ family: `Sub${Date.now()}` }] });
  const hook = await create(
    subscription(patient, { type: "rest-hook", endpoint: `${hookOrigin}/hook`, header: ["X-Key: of-the-subscriber"] }),
  );
  const web = await create(subscription(patient, { type: "websocket" }));
  await posted.next(of(hook.id, "handshake"));

  const bound = await client.operation({
    name: "$get-ws-binding-token",
    resourceType: "Subscription",
    id: web.id,
    method: "GET",
  });
  const part = (name) => bound.parameter.find((one) => one.name === name);
  const pushed = new Heard();
  socket = new WebSocket(part("websocket-url").valueUrl);
  socket.on("message", (text) => pushed.take(JSON.parse(text)));
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  socket.send(`bind-with-token: ${part("token").valueString}`);
  await pushed.next(of(web.id, "handshake"));
  assert.equal((await client.read({ resourceType: "Subscription", id: hook.id })).status, "active");

  const first = await create(observation(patient, "718-7"));
  for (const [heard, id] of [[posted, hook.id], [pushed, web.id]]) {
    const told = await heard.next(of(id, "event-notification", 1));
    const focus = told.entry.find((entry) => entry.resource.resourceType === "Observation");
    assert.equal(focus.resource.id, first.id);
  }
  await create(observation(patient, "8867-4"));
  await posted.next(of(hook.id, "event-notification", 2));

  const queried = await client.operation({ name: "$status", resourceType: "Subscription", id: hook.id, method: "GET" });
  const counted = queried.entry[0].resource.parameter.find((one) => one.name === "events-since-subscription-start");
  assert.equal(Number(counted.valueString ?? counted.valueUnsignedInt), 2);
  const missed = await client.operation({
    name: "$events",
    resourceType: "Subscription",
    id: hook.id,
    method: "GET",
    input: { eventsSinceNumber: 2 },
  });
  assert.deepEqual(status(missed).events, [2]);
  assert.equal(status(missed).type, "query-event");
  const listed = await client.search({ resourceType: "Subscription", searchParams: {} });
  assert.ok(listed.entry.some((entry) => entry.resource.id === web.id));

  // What is over is not told.
  await client.delete({ resourceType: "Subscription", id: hook.id });
  await create(observation(patient, "718-7"));
  await pushed.next(of(web.id, "event-notification", 3));
  assert.ok(!posted.all.some(of(hook.id, "event-notification", 3)));
  await client.delete({ resourceType: "Subscription", id: web.id });
  console.log("fhir-kit-client with express and ws: subscribe, handshake, events, $status, $events, end");
} finally {
  socket?.close();
  listening.closeAllConnections();
  listening.close();
}
