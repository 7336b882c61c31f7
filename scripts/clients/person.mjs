// A person with a browser without scripts: follows redirects, keeps cookies, fills in forms as they stand in the page.
import assert from "node:assert/strict";

// All that a form would send: its hidden and text fields, and the boxes that are ticked.
function fields(form) {
  const pairs = [];
  for (const [tag] of form.matchAll(/<input[^>]*>/g)) {
    const attribute = (name) => unescape(tag.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1] ?? "");
    const isTicked = attribute("type") !== "checkbox" || /\schecked/.test(tag);
    if (attribute("name") && isTicked) pairs.push([attribute("name"), attribute("value")]);
  }
  return pairs;
}

function unescape(text) {
  const named = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (_, name) => named[name]);
}

export class Person {
  constructor(name, password) {
    Object.assign(this, { name, password, cookies: new Map() });
  }

  // Opens what an app sends a browser to, answers each page, and returns the URL of the app that it ends at.
  async visit(url, { patient, refuses = false } = {}) {
    let answer = await this.#go(url);
    for (let step = 0; step < 12; step += 1) {
      const next = answer.headers.get("location");
      if (next) {
        const target = new URL(next, url);
        if (target.origin !== new URL(url).origin) return target.href;
        answer = await this.#go(target.href);
        continue;
      }
      const page = await answer.text();
      assert.equal(answer.status, 200, page);
      answer = await this.#answer(url, page, { patient, refuses });
    }
    throw new Error("the pages never end");
  }

  async #answer(url, page, { patient, refuses }) {
    const forms = [...page.matchAll(/<form[^>]*action="([^"]*)"[^>]*>([\s\S]*?)<\/form>/g)];
    const form = (action) => forms.filter(([, at]) => at === action).map(([, at, text]) => ({ at, pairs: fields(text) }));
    const [login] = form("/oauth2/login");
    if (login) {
      const typed = { username: this.name, password: this.password };
      return this.#send(url, login, (name, value) => typed[name] ?? value);
    }
    const patients = form("/oauth2/patient");
    const found = patients.find(({ pairs }) => pairs.some(([name]) => name === "patient"));
    if (found) return this.#send(url, found);
    if (patients.length > 0) {
      assert.ok(patient, "a page asks for a patient");
      return this.#send(url, patients[0], (name, value) => (name === "words" ? patient : value));
    }
    const [consent] = form("/oauth2/consent");
    assert.ok(consent, `a page that is not known: ${page}`);
    consent.pairs.push(["decision", refuses ? "deny" : "approve"]);
    return this.#send(url, consent);
  }

  #send(url, { at, pairs }, fill = (_, value) => value) {
    const body = new URLSearchParams(pairs.map(([name, value]) => [name, fill(name, value)]));
    return this.#go(new URL(at, url).href, { method: "POST", body });
  }

  async #go(url, options = {}) {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    const answer = await fetch(url, { ...options, headers: { cookie }, redirect: "manual" });
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(";");
      this.cookies.set(...pair.split(/=(.*)/).slice(0, 2));
    }
    return answer;
  }
}
