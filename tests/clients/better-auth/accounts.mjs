// An account, from signing up to its end.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createAuthClient } from "better-auth/client";
import { twoFactorClient } from "better-auth/client/plugins";
import { baseURL, browser, done, good, mailTo, password, refused } from "./harness.mjs";

// RFC 6238, for the step that is `ahead` of the present one.
function totp(uri, ahead = 0) {
  const base32 = new URL(uri).searchParams.get("secret");
  const bits = [...base32].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + ahead));
  const mac = createHmac("sha1", key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

const email = "ada@example.com";
const { client, fetch: raw } = browser();

// Getting an account.
await refused(client.signUp.email({ email: "nonsense", password, name: "Ada" }), 400, "VALIDATION_ERROR");
await refused(client.signUp.email({ email, password: "short", name: "Ada" }), 400, "PASSWORD_TOO_SHORT");
const signedUp = await good(client.signUp.email({ email, password, name: "Ada", callbackURL: "/welcome" }));
assert.match(signedUp.token, /^sess_/);
assert.equal(signedUp.user.email, email);
assert.equal(signedUp.user.emailVerified, false);
assert.ok(signedUp.user.createdAt instanceof Date && signedUp.user.updatedAt instanceof Date);
await refused(browser().client.signUp.email({ email, password, name: "Ada" }), 422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL");

// The session.
const current = await good(client.getSession());
assert.equal(current.user.id, signedUp.user.id);
assert.equal(current.session.userId, signedUp.user.id);
assert.match(current.session.token, /^ses_/);
assert.ok(current.session.expiresAt instanceof Date);
assert.equal(await good(browser().client.getSession()), null);

// Proving the address, by the link that goes on to the callback URL.
const link = await mailTo(email, /\/verify\/(\S+?)\?/);
const followed = await raw(`${baseURL}/api/auth/verify-email?token=${link}&callbackURL=%2Fwelcome`);
assert.equal(followed.status, 302);
assert.equal(followed.headers.get("location"), "/welcome");
assert.equal((await good(client.getSession())).user.emailVerified, true);
await refused(client.verifyEmail({ query: { token: link } }), 400, "INVALID_TOKEN");
await refused(client.sendVerificationEmail({ email, callbackURL: "https://evil.test/" }), 403, "INVALID_CALLBACK_URL");
assert.deepEqual(await good(client.sendVerificationEmail({ email })), { status: true });

// Signing in elsewhere.
const second = browser();
await refused(second.client.signIn.email({ email, password: "a wrong password" }), 401, "INVALID_EMAIL_OR_PASSWORD");
const signedIn = await good(second.client.signIn.email({ email, password, rememberMe: false }));
assert.equal(signedIn.redirect, false);
assert.match(signedIn.token, /^sess_/);
const sessions = await good(client.listSessions());
assert.equal(sessions.length, 2);
const other = sessions.find((session) => session.id !== current.session.id);
assert.deepEqual(await good(client.revokeSession({ token: other.token })), { status: true });
assert.equal(await good(second.client.getSession()), null);

// The profile and the password.
assert.deepEqual(await good(client.updateUser({ name: "Ada Lovelace" })), { status: true });
assert.equal((await good(client.getSession())).user.name, "Ada Lovelace");
const newPassword = "another long enough password";
await refused(client.changePassword({ currentPassword: "a wrong password", newPassword }), 400, "INVALID_PASSWORD");
await good(second.client.signIn.email({ email, password }));
const changed = await good(client.changePassword({ currentPassword: password, newPassword, revokeOtherSessions: true }));
assert.match(changed.token, /^sess_/);
assert.equal(changed.user.id, signedUp.user.id);
assert.equal(await good(second.client.getSession()), null);
assert.equal((await good(client.getSession())).user.id, signedUp.user.id);

// A second factor.
const enabled = await good(client.twoFactor.enable({ password: newPassword }));
assert.equal(enabled.backupCodes.length, 10);
await refused(client.twoFactor.verifyTotp({ code: "nonsense" }), 401, "INVALID_CODE");
await good(client.twoFactor.verifyTotp({ code: totp(enabled.totpURI) }));
assert.equal((await good(client.getSession())).user.twoFactorEnabled, true);

let asked;
const third = browser();
const withFactor = createAuthClient({
  baseURL,
  plugins: [twoFactorClient({ onTwoFactorRedirect: ({ twoFactorMethods }) => { asked = twoFactorMethods; } })],
  fetchOptions: { customFetchImpl: third.fetch },
});
const waiting = await good(withFactor.signIn.email({ email, password: newPassword }));
assert.deepEqual(waiting, { twoFactorRedirect: true, twoFactorMethods: ["totp"] });
assert.deepEqual(asked, ["totp"]);
assert.equal(await good(third.client.getSession()), null);
const verified = await good(withFactor.twoFactor.verifyTotp({ code: totp(enabled.totpURI, 1) }));
assert.match(verified.token, /^sess_/);
assert.equal((await good(third.client.getSession())).user.id, signedUp.user.id);

const fourth = browser();
await good(fourth.client.signIn.email({ email, password: newPassword }));
await good(fourth.client.twoFactor.verifyBackupCode({ code: enabled.backupCodes[0] }));
await refused(fourth.client.twoFactor.verifyBackupCode({ code: enabled.backupCodes[0] }), 401, "INVALID_TWO_FACTOR_COOKIE");
const fresh = await good(
  fourth.client.twoFactor.generateBackupCodes({ password: newPassword, code: enabled.backupCodes[1] }),
);
assert.equal(fresh.backupCodes.length, 10);
assert.deepEqual(
  await good(fourth.client.twoFactor.disable({ password: newPassword, code: fresh.backupCodes[0] })),
  { status: true },
);
assert.deepEqual(await good(client.revokeOtherSessions()), { status: true });
assert.equal(await good(fourth.client.getSession()), null);

// A forgotten password.
await refused(client.requestPasswordReset({ email, redirectTo: "https://evil.test/" }), 403, "INVALID_REDIRECT_URL");
assert.deepEqual(await good(client.requestPasswordReset({ email, redirectTo: "/set-password" })), { status: true });
const token = await mailTo(email, /\/reset\/(\S+?)\?/);
const led = await fetch(`${baseURL}/reset/${token}?callbackURL=%2Fset-password`, { redirect: "manual" });
assert.equal(led.headers.get("location"), `/set-password?token=${token}`);
await refused(client.resetPassword({ newPassword: password, token: "wrong" }), 400, "INVALID_TOKEN");
assert.deepEqual(await good(client.resetPassword({ newPassword: password, token })), { status: true });
assert.equal(await good(client.getSession()), null);

// Another address, signing out, and the end.
await good(client.signIn.email({ email, password }));
assert.deepEqual(await good(client.changeEmail({ newEmail: "ada@new.example" })), { status: true });
assert.ok(await mailTo("ada@new.example", /\/confirm-address\/(\S+)/));
assert.deepEqual(await good(client.signOut()), { success: true });
assert.equal(await good(client.getSession()), null);
await good(client.signIn.email({ email, password }));
assert.deepEqual(await good(client.revokeSessions()), { status: true });
await good(client.signIn.email({ email, password }));
assert.equal((await good(client.deleteUser({ password }))).success, true);
await refused(client.signIn.email({ email, password }), 401, "INVALID_EMAIL_OR_PASSWORD");

done();
