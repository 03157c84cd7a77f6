// What the scripts beside this one share: npm `better-auth/client`, as it is published, against the Keystead at the URL of
// the first argument.
//
// What a script needs from outside it asks for on stdout, a word and an address a line, and gets as a line of JSON on
// stdin: `mail ada@example.com` is answered with the text of the newest mail there, or `null`.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { createAuthClient } from "better-auth/client";
import { organizationClient, twoFactorClient } from "better-auth/client/plugins";

export const baseURL = process.argv[2];
export const password = "correct horse battery staple";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(what) {
  process.stdout.write(`${what}\n`);
  return JSON.parse((await lines.next()).value);
}

// What the first group of a pattern matches in the newest mail to an address, once there is one that matches: mails
// leave a moment after the answer.
export async function mailTo(address, pattern) {
  for (let tries = 0; tries < 100; tries++) {
    const found = (await ask(`mail ${address}`))?.match(pattern);
    if (found) return found[1];
    await setTimeout(100);
  }
  throw new Error(`no mail to ${address} has ${pattern}`);
}

// A browser: a client with a cookie jar of its own.
export function browser() {
  const jar = new Map();
  const customFetchImpl = async (input, init = {}) => {
    const headers = new Headers(init.headers);
    if (jar.size > 0) headers.set("cookie", [...jar].map(([name, value]) => `${name}=${value}`).join("; "));
    const response = await fetch(input, { ...init, headers, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split("; ");
      const [name, value] = pair.split(/=(.*)/s);
      if (attributes.includes("Max-Age=0")) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  };
  const client = createAuthClient({
    baseURL,
    plugins: [twoFactorClient(), organizationClient()],
    fetchOptions: { customFetchImpl },
    sessionOptions: { refetchOnWindowFocus: false },
  });
  return { client, jar, fetch: customFetchImpl };
}

// What a call gives where it succeeds, and where it is refused.
export async function good(call) {
  const { data, error } = await call;
  assert.equal(error, null, JSON.stringify(error));
  return data;
}
export async function refused(call, status, code) {
  const { data, error } = await call;
  assert.equal(data, null);
  assert.equal(error.status, status, JSON.stringify(error));
  assert.equal(error.code, code);
  assert.equal(typeof error.message, "string");
}

// Says that all went as it should. Without this line the test fails, whatever the script's status is.
export function done() {
  process.stdout.write("done\n");
  process.exit(0);
}
