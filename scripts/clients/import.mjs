// A node fetches files from express and imports them; fhir-kit-client finds what they held:
//   node import.mjs BASE TOKEN FILES_ORIGIN
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import { Client } from "fhir-kit-client";

const [baseUrl, bearerToken, origin] = process.argv.slice(2);
const here = new URL(origin);
const [patient, count] = [randomUUID(), 300];
const observation = (number) => ({
  resourceType: "Observation",
  id: `${patient}-${number}`.slice(-64),
  status: number === 7 ? "nonsense" : "final",
  subject: { reference: `Patient/${patient}` },
  code: { coding: [{ system: "http://loinc.org", code: "8867-4" }] },
});
const files = {
  Patient: [{ resourceType: "Patient", id: patient, name: [{ family: "Imported" }] }],
  Observation: Array.from({ length: count }, (_, number) => observation(number + 1)),
};
const app = express();
app.get("/:kind.ndjson", (request, response) => {
  const lines = files[request.params.kind].map((resource) => `${JSON.stringify(resource)}\n`);
  response.type("application/fhir+ndjson").send(lines.join(""));
});
const listening = await new Promise((resolve) => {
  const server = app.listen(here.port, here.hostname, () => resolve(server));
});
const headers = { authorization: `Bearer ${bearerToken}` };
try {
  const begun = await fetch(`${baseUrl}/$import`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", prefer: "respond-async" },
    body: JSON.stringify({
      inputFormat: "application/fhir+ndjson",
      inputSource: "https://old-ehr.example",
      input: ["Observation", "Patient"].map((type) => ({ type, url: `${origin}/${type}.ndjson` })),
    }),
  });
  assert.equal(begun.status, 202, await begun.text());
  const place = begun.headers.get("content-location");
  let answer;
  do {
    await sleep(100);
    answer = await fetch(place, { headers });
  } while (answer.status === 202);
  const { output, error } = await answer.json();
  assert.deepEqual(output.map((one) => one.count), [count - 1, 1]);
  const refused = (await (await fetch(error[0].url, { headers })).text()).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(refused.map((one) => one.extension[0].valueUnsignedInt), [7]);
  const client = new Client({ baseUrl, bearerToken });
  const found = await client.search({ resourceType: "Observation", searchParams: { patient, _summary: "count" } });
  assert.equal(found.total, count - 1);
  assert.equal((await fetch(place, { method: "DELETE", headers })).status, 202);
  console.log("$import: files from express, a line that is refused, what fhir-kit-client finds");
} finally {
  listening.closeAllConnections();
  listening.close();
}
