// API keys.

import assert from "node:assert/strict";
import { baseURL, browser, done, good, password, refused } from "./harness.mjs";

const { client } = browser();
await good(client.signUp.email({ email: "keys@example.com", password, name: "Keys" }));
const [organization] = await good(client.organization.list());

// Made with nothing said, the key is in the answer flat and in the envelope.
const key = await good(client.apiKey.create({ name: "CI" }));
assert.match(key.key, /^ks_live_/);
assert.deepEqual([key.success, key.status, key.message], [true, 200, "API key created"]);
assert.equal(key.data.key, key.key);
assert.ok(key.start.length < key.key.length && key.key.startsWith(key.start) && key.start.startsWith(key.prefix));
assert.deepEqual([key.name, key.enabled, key.expiresAt, key.permissions], ["CI", true, null, { keystead: ["user:read"] }]);
assert.ok(key.createdAt instanceof Date && key.updatedAt instanceof Date);

// Made with all that can be said.
const made = await good(
  client.apiKey.create({
    name: "Deploy",
    expiresIn: 3600,
    scopes: ["user:read", "projects:read"],
    metadata: { organizationId: organization.id },
  }),
);
assert.ok(made.expiresAt instanceof Date && made.data.expiresAt instanceof Date);
assert.equal(Math.round((made.expiresAt - made.createdAt) / 1000), 3600);
assert.deepEqual([...made.scopes].sort(), ["projects:read", "user:read"]);
assert.deepEqual(made.metadata, { organizationId: organization.id });
await refused(client.apiKey.create({ name: "Short", expiresIn: 1 }), 400, "VALIDATION_ERROR");
await refused(client.apiKey.create({ name: "Odd", scopes: ["moon"] }), 400, "VALIDATION_ERROR");
await refused(browser().client.apiKey.create({ name: "CI" }), 401, "AUTHENTICATION_REQUIRED");

// Listed and found, without the keys themselves.
const { apiKeys, total } = await good(client.apiKey.list());
assert.deepEqual([total, apiKeys.map(({ id }) => id).sort()], [2, [key.id, made.id].sort()]);
assert.ok(apiKeys.every((listed) => listed.key === undefined && listed.createdAt instanceof Date));
const found = await good(client.apiKey.get({ query: { id: made.id } }));
assert.deepEqual([found.id, found.name, found.key], [made.id, "Deploy", undefined]);

// Renamed and narrowed, never widened.
const updated = await good(client.apiKey.update({ keyId: made.id, name: "Deployment", scopes: ["user:read"] }));
assert.deepEqual([updated.id, updated.name, updated.scopes], [made.id, "Deployment", ["user:read"]]);
await refused(client.apiKey.update({ keyId: made.id, scopes: ["user:read", "user:write"] }), 400, "VALIDATION_ERROR");

// Another's key is none.
const other = browser();
await good(other.client.signUp.email({ email: "other@example.com", password, name: "Other" }));
await refused(other.client.apiKey.get({ query: { id: made.id } }), 404, "KEY_NOT_FOUND");
await refused(other.client.apiKey.update({ keyId: made.id, name: "Mine" }), 404, "KEY_NOT_FOUND");
await refused(other.client.apiKey.delete({ keyId: made.id }), 404, "KEY_NOT_FOUND");
assert.deepEqual((await good(other.client.apiKey.list())).apiKeys, []);

// Used until it is revoked.
const me = () => fetch(`${baseURL}/api/user/me`, { headers: { "x-api-key": key.key } });
assert.equal((await me()).status, 200);
assert.equal((await good(client.apiKey.delete({ keyId: key.id }))).success, true);
assert.equal((await me()).status, 401);
await refused(client.apiKey.get({ query: { id: key.id } }), 404, "KEY_NOT_FOUND");
await refused(client.apiKey.delete({ keyId: key.id }), 404, "KEY_NOT_FOUND");

done();
