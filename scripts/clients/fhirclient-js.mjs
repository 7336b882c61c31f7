// SMART's fhirclient for JavaScript, unmodified, with a token that it was given: node fhirclient-js.mjs BASE TOKEN
import assert from "node:assert/strict";
import smart from "fhirclient";

const [serverUrl, token] = process.argv.slice(2);
const request = { url: "/", headers: {}, connection: {} };
const response = { headersSent: false };
const client = smart(request, response).client({ serverUrl, tokenResponse: { access_token: token } });
const family = `Smart${Date.now()}`;

const patient = await client.create({ resourceType: "Patient", name: [{ family }] });
assert.ok(patient.id);
const amended = await client.update({ ...patient, gender: "other" });
assert.equal(amended.meta.versionId, "2");
for (let number = 1; number <= 5; number += 1) {
  await client.create({
    resourceType: "Condition",
    subject: { reference: `Patient/${patient.id}` },
    code: { text: `number ${number}` },
  });
}
const conditions = await client.request(`Condition?patient=${patient.id}&_count=2`, {
  pageLimit: 0,
  flat: true,
});
assert.equal(conditions.length, 5);
const resolved = await client.request(`Condition/${conditions[0].id}`, { resolveReferences: ["subject"] });
assert.equal(resolved.subject.id, patient.id);
await client.delete(`Condition/${conditions[0].id}`);
await assert.rejects(client.request(`Condition/${conditions[0].id}`), (error) => error.status === 410);
console.log("fhirclient (SMART JS): write, paging, references, delete");
