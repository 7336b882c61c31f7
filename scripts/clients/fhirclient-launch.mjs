// SMART's fhirclient for JavaScript, unmodified, launches an app by itself and from an EHR:
//   node fhirclient-launch.mjs BASE CLIENT_ID REDIRECT_URI EHR_TOKEN CLINICIAN:PASSWORD PATIENT:PASSWORD FAMILY_NAME
import assert from "node:assert/strict";
import http from "node:http";
import smart from "fhirclient";
import { Person } from "./person.mjs";

const [base, clientId, redirectUri, ehrToken, clinicians, patients, family] = process.argv.slice(2);
const [clinician, patient] = [clinicians, patients].map((account) => new Person(...account.split(":")));
const here = new URL(redirectUri);
const scope = "openid fhirUser launch/patient offline_access patient/*.rs";

// The app: `/launch` begins, the redirect URI ends; what `ready` gives waits in `launched`.
let session = {};
let launched;
const storage = {
  get: async (key) => session[key],
  set: async (key, value) => (session[key] = value),
  unset: async (key) => delete session[key],
};
const app = http.createServer(async (request, response) => {
  try {
    const api = smart(request, response, storage);
    const { pathname, searchParams } = new URL(request.url, here);
    if (pathname === "/launch") {
      const isEhr = searchParams.has("launch");
      const wanted = isEhr ? scope.replace("launch/patient", "launch") : scope;
      await api.authorize({ clientId, scope: wanted, redirectUri, iss: base, pkceMode: "required" });
      return;
    }
    launched = await api.ready();
    response.end("welcome");
  } catch (error) {
    launched = error;
    response.writeHead(500).end("the launch failed");
  }
});
await new Promise((resolve) => app.listen(here.port, here.hostname, resolve));

// What a browser does with the app, and the person with the node's pages.
async function launch(person, query = "", how = {}) {
  [session, launched] = [{}, undefined];
  const begun = await fetch(new URL(`/launch${query}`, here), { redirect: "manual" });
  const back = await person.visit(begun.headers.get("location"), how);
  await (await fetch(back)).text();
  return launched;
}

try {
  // A clinician launches the app by itself, and chooses a patient.
  const alone = await launch(clinician, "", { patient: family });
  assert.ok(!(alone instanceof Error), alone);
  assert.equal(alone.user.fhirUser, "Practitioner/alice");
  assert.equal(alone.user.resourceType, "Practitioner");
  const chart = await alone.patient.read();
  assert.equal(chart.id, alone.patient.id);
  assert.equal(chart.name[0].family, family);
  const everything = await alone.request(`Observation?patient=${alone.patient.id}&_count=5&_sort=date`, {
    pageLimit: 0,
    flat: true,
  });
  const count = await alone.request(`Observation?patient=${alone.patient.id}&_summary=count`);
  assert.ok(count.total > 5, "there is more than one page");
  assert.equal(everything.length, count.total);
  assert.equal(new Set(everything.map((one) => one.id)).size, count.total);
  await assert.rejects(alone.create({ resourceType: "Observation" }), (error) => error.status === 403);

  // The token is refreshed.
  const spent = { ...alone.state.tokenResponse };
  await alone.refresh();
  assert.notEqual(alone.state.tokenResponse.access_token, spent.access_token);
  assert.equal((await alone.patient.read()).id, chart.id);

  // A patient launches it: nobody else's record is there.
  const own = await launch(patient);
  assert.ok(!(own instanceof Error), own);
  assert.equal((await own.patient.read()).id, own.patient.id);
  assert.ok((await own.patient.request("Condition?_summary=count")).total > 0);
  await assert.rejects(own.request("Patient?family=A"), (error) => error.status === 403);

  // An EHR launches it in the context of a patient.
  const context = { patient: chart.id, user: "Practitioner/alice", client_id: clientId };
  const kept = await fetch(new URL("/oauth2/launches", base), {
    method: "POST",
    headers: { authorization: `Bearer ${ehrToken}`, "content-type": "application/json" },
    body: JSON.stringify(context),
  });
  assert.equal(kept.status, 201);
  const query = new URLSearchParams({ iss: base, launch: (await kept.json()).launch });
  const fromEhr = await launch(clinician, `?${query}`);
  assert.ok(!(fromEhr instanceof Error), fromEhr);
  assert.equal(fromEhr.patient.id, chart.id);
  assert.equal((await fromEhr.patient.read()).id, chart.id);

  // Whoever refuses is told to the app.
  const refused = await launch(patient, "", { refuses: true });
  assert.match(String(refused), /access_denied/);
  console.log("fhirclient (SMART JS): launch alone, by a patient and from an EHR, paging, refresh, refusal");
} finally {
  app.closeAllConnections();
  app.close();
}
