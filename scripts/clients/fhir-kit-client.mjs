// fhir-kit-client, unmodified, against a node: node fhir-kit-client.mjs BASE TOKEN
import assert from "node:assert/strict";
import { Client } from "fhir-kit-client";

const [baseUrl, bearerToken] = process.argv.slice(2);
const client = new Client({ baseUrl, bearerToken });
const family = `Kit${Date.now()}`;

const capabilities = await client.capabilityStatement();
assert.equal(capabilities.fhirVersion, "4.0.1");
const smart = await client.smartAuthMetadata();
assert.ok(String(smart.tokenUrl).endsWith("/oauth2/token"));

const patient = await client.create({
  resourceType: "Patient",
  body: { resourceType: "Patient", name: [{ family, given: ["Ada"] }], birthDate: "1970-01-01" },
});
assert.equal(patient.meta.versionId, "1");
const subject = { reference: `Patient/${patient.id}` };

const read = await client.read({ resourceType: "Patient", id: patient.id });
assert.equal(read.name[0].family, family);
const updated = await client.update({
  resourceType: "Patient",
  id: patient.id,
  body: { ...read, active: true },
});
assert.equal(updated.meta.versionId, "2");
const first = await client.vread({ resourceType: "Patient", id: patient.id, version: "1" });
assert.equal(first.active, undefined);
const patched = await client.patch({
  resourceType: "Patient",
  id: patient.id,
  jsonPatch: [{ op: "replace", path: "/active", value: false }],
});
assert.equal(patched.active, false);

const observation = (number) => ({
  fullUrl: `urn:uuid:00000000-0000-4000-8000-${String(number).padStart(12, "0")}`,
  resource: {
    resourceType: "Observation",
    status: "final",
    subject,
    code: { coding: [{ system: "http://loinc.org", code: "8867-4" }] },
    effectiveDateTime: `2026-01-${String(number).padStart(2, "0")}`,
    valueQuantity: { value: 60 + number, unit: "/min", system: "http://unitsofmeasure.org", code: "/min" },
  },
  request: { method: "POST", url: "Observation" },
});
const written = await client.transaction({
  body: {
    resourceType: "Bundle",
    type: "transaction",
    entry: Array.from({ length: 7 }, (_, number) => observation(number + 1)),
  },
});
assert.equal(written.entry.length, 7);

let page = await client.search({
  resourceType: "Observation",
  searchParams: { patient: patient.id, code: "http://loinc.org|8867-4", _count: 3, _sort: "date", _total: "accurate" },
});
assert.equal(page.total, 7);
const dates = [];
while (page) {
  dates.push(...page.entry.map((entry) => entry.resource.effectiveDateTime));
  page = await client.nextPage({ bundle: page });
}
assert.deepEqual(dates, [1, 2, 3, 4, 5, 6, 7].map((day) => `2026-01-0${day}`));

const high = await client.search({
  resourceType: "Observation",
  searchParams: { patient: patient.id, "value-quantity": "gt64|http://unitsofmeasure.org|/min" },
});
assert.equal(high.total, 3);
const chained = await client.search({
  resourceType: "Observation",
  searchParams: { "subject:Patient.family": family, _include: "Observation:subject", _count: 1 },
});
assert.ok(chained.entry.some((entry) => entry.search.mode === "include"));
const compartment = await client.compartmentSearch({
  resourceType: "Observation",
  compartment: { resourceType: "Patient", id: patient.id },
  searchParams: { _summary: "count" },
});
assert.equal(compartment.total, 7);

const history = await client.history({ resourceType: "Patient", id: patient.id });
assert.equal(history.total, 3);
const batch = await client.batch({
  body: {
    resourceType: "Bundle",
    type: "batch",
    entry: [
      { request: { method: "GET", url: `Patient/${patient.id}` } },
      { request: { method: "GET", url: "Patient/nobody-is-here" } },
    ],
  },
});
assert.deepEqual(batch.entry.map((entry) => entry.response.status.slice(0, 3)), ["200", "404"]);

const id = written.entry[0].response.location.match(/Observation\/([^/]+)/)[1];
await client.delete({ resourceType: "Observation", id });
await assert.rejects(client.read({ resourceType: "Observation", id }), (error) => error.response.status === 410);
await assert.rejects(
  client.create({ resourceType: "Observation", body: { resourceType: "Observation", status: "nonsense" } }),
  (error) => error.response.data.resourceType === "OperationOutcome",
);
console.log("fhir-kit-client: capabilities, write, patch, transaction, paging, chain, include, history, batch, delete");
