// A SMART Health Link, opened with jose, unmodified: node link.mjs LINK PASSCODE
import assert from "node:assert/strict";
import { base64url, compactDecrypt } from "jose";

const [link, passcode] = process.argv.slice(2);
const payload = JSON.parse(new TextDecoder().decode(base64url.decode(link.replace("shlink:/", ""))));
assert.ok(payload.url.length <= 128 && payload.flag === "P" && payload.exp > Date.now() / 1000);
const fetchManifest = (asked) =>
  fetch(payload.url, {
    method: "POST",
    headers: { "content-type": "application/json", origin: "https://viewer.example" },
    body: JSON.stringify({ recipient: "jose", ...asked }),
  });

const refused = await fetchManifest({ passcode: `not ${passcode}` });
assert.equal(refused.status, 401);
assert.equal((await refused.json()).remainingAttempts, 9);

const answer = await fetchManifest({ passcode, embeddedLengthMax: 100 });
assert.equal(answer.headers.get("access-control-allow-origin"), "*");
const [file] = (await answer.json()).files;
assert.equal(file.contentType, "application/fhir+json");
const sealed = await fetch(file.location);
assert.equal(sealed.headers.get("content-type"), "application/jose");
const { plaintext, protectedHeader } = await compactDecrypt(await sealed.text(), base64url.decode(payload.key));
assert.equal(protectedHeader.cty, "application/fhir+json");
const bundle = JSON.parse(new TextDecoder().decode(plaintext));
assert.equal(bundle.type, "document");
assert.equal(bundle.entry[0].resource.title, "International Patient Summary");
console.log(`jose: a SMART Health Link opens to a summary of ${bundle.entry.length} entries`);
