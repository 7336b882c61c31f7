// The pages that people see, in a real browser (Debian's chromium), on a wide screen and on a phone:
//   node pages.mjs BASE CLIENT_ID REDIRECT_URI CLINICIAN:PASSWORD FAMILY_NAME [FOLDER FOR SCREENSHOTS]
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { chromium } from "playwright-core";

const [base, clientId, redirectUri, account, family, folder] = process.argv.slice(2);
const [name, password] = account.split(":");
const origin = new URL(base).origin;
const SIZES = { wide: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };
const scope = "openid fhirUser launch/patient offline_access patient/Observation.rs patient/Condition.rs patient/Patient.r";

function request(changes = {}) {
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    scope,
    state: randomBytes(16).toString("base64url"),
    aud: base,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    ...changes,
  });
  return `${origin}/oauth2/authorize?${query}`;
}

// What holds of each page; `mark` is there on this one and not on the one before.
async function check(page, title, shown, mark = page.locator("h1", { hasText: title })) {
  await mark.waitFor();
  await page.waitForLoadState();
  if (folder) await page.screenshot({ path: `${folder}/${shown}.png`, fullPage: true });
  assert.equal(await page.locator("h1").innerText(), title);
  assert.match(await page.title(), new RegExp(`^(Error: )?${title}`));
  const found = await page.evaluate(() => {
    const inputs = [...document.querySelectorAll("input:not([type=hidden])")];
    const targets = [...document.querySelectorAll("button, a, input:not([type=hidden])")];
    const small = targets.filter((one) => {
      const box = (one.closest("label") ?? one).getBoundingClientRect();
      return box.height < 24 || box.width < 24;
    });
    return {
      lang: document.documentElement.lang,
      mains: document.querySelectorAll("main").length,
      unlabelled: inputs.filter((one) => one.labels.length === 0).map((one) => one.name),
      small: small.map((one) => one.outerHTML),
      scripts: document.scripts.length,
      ids: [...document.querySelectorAll("[id]")].map((one) => one.id),
      overflows: document.documentElement.scrollWidth > document.documentElement.clientWidth,
      faint: [...document.querySelectorAll("h1, h2, p, label, legend, button, a, code, span")]
        .filter((one) => one.innerText && contrast(one) < 4.5)
        .map((one) => one.outerHTML),
    };

    function contrast(element) {
      const [ink, paper] = [colour(getComputedStyle(element).color), ground(element)];
      const [bright, dark] = [luminance(ink), luminance(paper)].sort((one, other) => other - one);
      return (bright + 0.05) / (dark + 0.05);
    }
    function ground(element) {
      for (let one = element; one; one = one.parentElement) {
        const found = colour(getComputedStyle(one).backgroundColor);
        if (found[3] > 0) return found;
      }
      return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
    }
    function colour(text) {
      const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
      context.fillStyle = text;
      context.fillRect(0, 0, 1, 1);
      return [...context.getImageData(0, 0, 1, 1).data];
    }
    function luminance([red, green, blue]) {
      const linear = (value) => {
        const part = value / 255;
        return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      };
      return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
    }
  });
  assert.equal(found.lang, "en");
  assert.equal(found.mains, 1);
  assert.equal(found.scripts, 0);
  assert.deepEqual(found.unlabelled, [], shown);
  assert.deepEqual(found.small, [], `${shown}: too small to be hit`);
  assert.deepEqual(found.faint, [], `${shown}: too little contrast`);
  assert.equal(new Set(found.ids).size, found.ids.length, `${shown}: an id is there twice`);
  assert.equal(found.overflows, false, `${shown}: wider than the screen`);
}

async function story(browser, size, colorScheme) {
  const shown = (step) => `${size}-${colorScheme}-${step}`;
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.route(`${new URL(redirectUri).origin}/**`, (route) => route.fulfill({ body: "the app" }));

  await page.goto(request());
  await check(page, "Sign in", shown("1-sign-in"));
  assert.equal(await page.evaluate(() => document.activeElement.id), "username");
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill("not the password");
  await page.keyboard.press("Enter");
  const alert = page.getByRole("alert");
  await check(page, "Sign in", shown("2-wrong-password"), alert);
  assert.match(await alert.innerText(), /not right/);
  const described = await page.getByLabel("Password").getAttribute("aria-describedby");
  assert.equal(await alert.getAttribute("id"), described);
  assert.equal(await page.getByLabel("User name").inputValue(), name, "what was typed stays");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();

  await check(page, "Choose a patient", shown("3-patient"));
  await page.getByRole("searchbox").fill("Nobodyisnamedso");
  await page.getByRole("button", { name: "Search" }).click();
  const nobody = page.getByRole("status");
  await check(page, "Choose a patient", shown("4-nobody"), nobody);
  assert.match(await nobody.innerText(), /Nobody/);
  await page.getByRole("searchbox").fill(family);
  await page.getByRole("button", { name: "Search" }).click();
  const first = page.locator("li button").first();
  await check(page, "Choose a patient", shown("5-found"), first);
  await first.click();

  await check(page, "Allow access", shown("6-consent"));
  const boxes = page.getByRole("checkbox");
  assert.ok((await boxes.count()) >= 5);
  await page.getByLabel(/condition records/).uncheck();
  const over = page.url();
  await page.getByRole("button", { name: "Allow" }).click();
  await page.waitForURL((url) => url.href.startsWith(redirectUri));
  assert.ok(new URL(page.url()).searchParams.get("code"));

  await page.goto(over);
  await check(page, "This did not work", shown("7-over"));
  await page.goto(request());
  await page.getByRole("searchbox").fill(family);
  await page.getByRole("button", { name: "Search" }).click();
  await first.click();
  await page.getByRole("button", { name: "Refuse" }).click();
  await page.waitForURL((url) => url.href.startsWith(redirectUri));
  assert.equal(new URL(page.url()).searchParams.get("error"), "access_denied");
  await page.goto(request({ client_id: "nobody" }));
  await check(page, "This did not work", shown("8-unknown-app"));
  const unexpected = complaints.filter((text) => !/status of 4\d\d/.test(text));
  assert.deepEqual(unexpected, [], "the browser complains");
  await context.close();
}

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  await story(browser, "wide", "light");
  await story(browser, "phone", "dark");
  console.log("chromium: sign-in, patient, consent, refusal and errors, wide and on a phone");
} finally {
  await browser.close();
}
