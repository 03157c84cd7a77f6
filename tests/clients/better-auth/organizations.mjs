// Organizations, their members and invitations.

import assert from "node:assert/strict";
import { baseURL, browser, done, good, mailTo, password, refused } from "./harness.mjs";

// Somebody with an account, whose address counts once the link in the mail was followed.
async function person(name) {
  const email = `${name.toLowerCase()}@example.com`;
  const { client, fetch } = browser();
  const { user } = await good(client.signUp.email({ email, password, name }));
  const prove = async () => {
    await good(client.sendVerificationEmail({ email }));
    const link = await mailTo(email, /\/verify\/([^\s?]+)/);
    assert.equal((await fetch(`${baseURL}/api/auth/verify-email?token=${link}`)).status, 200);
  };
  return { email, client, user, prove };
}

const grace = await person("Grace");
const hedy = await person("Hedy");
const { organization } = grace.client;
const active = async ({ client }) => (await good(client.getSession())).session.activeOrganizationId;

// One comes with the account, and more can be made. Who makes one works in it.
const [first, ...none] = await good(organization.list());
assert.deepEqual([first.name, first.slug, none], ["Grace's organization", "grace", []]);
assert.ok(first.createdAt instanceof Date);
const acme = await good(organization.create({ name: "Acme", slug: "acme" }));
assert.deepEqual([acme.name, acme.slug, acme.members.length], ["Acme", "acme", 1]);
assert.deepEqual([acme.members[0].userId, acme.members[0].role], [grace.user.id, "owner"]);
assert.ok(acme.createdAt instanceof Date && acme.members[0].createdAt instanceof Date);
await refused(organization.create({ name: "Other", slug: "acme" }), 409, "CONFLICT");
assert.equal((await good(organization.list())).length, 2);
assert.equal(await active(grace), acme.id);
assert.equal((await good(organization.setActive({ organizationId: first.id }))).id, first.id);
assert.equal(await good(organization.setActive({ organizationId: null })), null);
assert.equal(await active(grace), undefined);
assert.equal((await good(organization.setActive({ organizationSlug: "acme" }))).id, acme.id);
assert.equal(await active(grace), acme.id);
assert.equal((await good(organization.update({ data: { name: "Acme, Inc." } }))).name, "Acme, Inc.");

// Of others' organizations nobody learns anything.
for (const query of [{ organizationId: acme.id }, { organizationSlug: "acme" }, { organizationSlug: "no-such-one" }]) {
  await refused(hedy.client.organization.getFullOrganization({ query }), 403, "FORBIDDEN");
}
await refused(hedy.client.organization.setActive({ organizationId: acme.id }), 403, "FORBIDDEN");

// Inviting. The one that works in the organization need not name it.
const invitation = await good(organization.inviteMember({ email: hedy.email, role: "member" }));
assert.deepEqual(
  [invitation.email, invitation.role, invitation.status, invitation.organizationId, invitation.inviterId],
  [hedy.email, "member", "pending", acme.id, grace.user.id],
);
assert.ok(invitation.expiresAt instanceof Date && invitation.createdAt instanceof Date);
await refused(organization.inviteMember({ email: hedy.email, role: "member" }), 409, "CONFLICT");
const full = await good(organization.getFullOrganization());
assert.deepEqual([full.id, full.members.length, full.invitations.length], [acme.id, 1, 1]);
assert.deepEqual(full.members[0].user, { id: grace.user.id, name: "Grace", email: grace.email });

// Accepting takes a proven address.
await refused(hedy.client.organization.acceptInvitation({ invitationId: invitation.id }), 403, "EMAIL_NOT_VERIFIED");
await hedy.prove();
const [waiting] = await good(hedy.client.organization.listUserInvitations());
assert.equal(waiting.id, invitation.id);
const joined = await good(hedy.client.organization.acceptInvitation({ invitationId: invitation.id }));
assert.deepEqual([joined.invitation.status, joined.member.role, joined.member.userId], ["accepted", "member", hedy.user.id]);
assert.equal(await active(hedy), acme.id);
await refused(hedy.client.organization.acceptInvitation({ invitationId: invitation.id }), 404, "NOT_FOUND");

// Members and their roles.
const { members, total } = await good(hedy.client.organization.listMembers());
assert.deepEqual([total, members.map(({ role }) => role)], [2, ["owner", "member"]]);
const { member } = joined;
assert.equal((await good(hedy.client.organization.getActiveMember())).id, member.id);
assert.deepEqual(await good(hedy.client.organization.getActiveMemberRole()), { role: "member" });
await refused(hedy.client.organization.updateMemberRole({ memberId: member.id, role: "owner" }), 403, "INSUFFICIENT_PERMISSIONS");
await refused(hedy.client.organization.inviteMember({ email: "cleo@example.com", role: "member" }), 403, "INSUFFICIENT_PERMISSIONS");
assert.equal((await good(organization.updateMemberRole({ memberId: member.id, role: "admin" }))).role, "admin");
const second = await good(hedy.client.organization.inviteMember({ email: "cleo@example.com", role: "member" }));
assert.equal((await good(organization.listInvitations())).length, 2);
assert.equal((await good(organization.cancelInvitation({ invitationId: second.id }))).status, "canceled");

// Removed, invited again, declined; and leaving, which the last owner cannot.
assert.equal((await good(organization.removeMember({ memberIdOrEmail: hedy.email }))).member.id, member.id);
await refused(hedy.client.organization.getFullOrganization({ query: { organizationId: acme.id } }), 403, "FORBIDDEN");
await refused(organization.removeMember({ memberIdOrEmail: member.id }), 404, "NOT_FOUND");
const third = await good(organization.inviteMember({ email: hedy.email, role: "member" }));
assert.equal((await good(hedy.client.organization.rejectInvitation({ invitationId: third.id }))).member, null);
const fourth = await good(organization.inviteMember({ email: hedy.email, role: "owner" }));
await refused(organization.leave({ organizationId: acme.id }), 409, "CONFLICT");
await good(hedy.client.organization.acceptInvitation({ invitationId: fourth.id }));
assert.equal((await good(organization.leave({ organizationId: acme.id }))).userId, grace.user.id);
assert.deepEqual((await good(organization.list())).map(({ id }) => id), [first.id]);

done();
