// An identity provider for tests: one person, who signs in and agrees without a page.
import http from "node:http";
import { Provider } from "oidc-provider";

const [issuer, callback] = process.argv.slice(2);
const person = {
  accountId: "s1",
  claims: () => ({ sub: "s1", name: "Dr. One", fhirUser: "https://x.example/Practitioner/7", groups: ["doctors"] }),
};

const provider = new Provider(issuer, {
  clients: [{ client_id: "careledger", client_secret: "a secret/of+signs", redirect_uris: [callback] }],
  claims: { openid: ["sub", "name", "fhirUser", "groups"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["for tests alone"] },
  features: { devInteractions: { enabled: false } },
  findAccount: () => person,
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
});

async function answer(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: person.accountId } });
  }
  const grant = new provider.Grant({ accountId: person.accountId, clientId: params.client_id });
  grant.addOIDCScope("openid");
  grant.addOIDCClaims(["sub", "name", "fhirUser", "groups"]);
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

const handle = provider.callback();
const server = http.createServer((request, response) => {
  if (!request.url.startsWith("/interaction/")) return handle(request, response);
  answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
});
server.listen(Number(new URL(issuer).port), "127.0.0.1", () => console.log("ready"));
