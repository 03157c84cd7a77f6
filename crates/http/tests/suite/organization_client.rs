//! `/api/auth/organization/*`, as npm `better-auth/client` calls it and reads the answers.

use keystead_domain::role::Role;
use keystead_testkit::{Keystead, both_backends};
use serde_json::{Value, json};

use crate::organizations::{ask, confirm_address, join};

both_backends! {
    fn organizations_as_the_client_has_them(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, bob) = (keystead.person("Ada"), keystead.person("Bob"));
        confirm_address(&database, &bob);
        let go = |who, method: &str, name: &str, body: Value| ask(&keystead, who, method, &format!("/api/auth/organization/{name}"), body);
        let acme = go(&ada, "POST", "create", json!({"name": "Acme", "slug": "acme"})).expect(200);
        let id = acme["id"].as_str().unwrap();
        assert_eq!((&acme["name"], &acme["slug"], &acme["members"][0]["role"]), (&json!("Acme"), &json!("acme"), &json!("owner")));
        assert!(acme["createdAt"].as_str().unwrap().ends_with('Z'));
        assert_eq!(go(&ada, "POST", "create", json!({"name": "Acme", "slug": "acme"})).refusal(409), "CONFLICT");
        let session = |who: &keystead_testkit::TestPerson| keystead.get("/api/auth/get-session").cookie(&who.session).send().expect(200)["session"]["activeOrganizationId"].clone();
        assert_eq!(session(&ada), id, "one works in what one has made");
        let kept = go(&ada, "POST", "create", json!({"name": "Kept", "keepCurrentActiveOrganization": true})).expect(200);
        assert_eq!(session(&ada), id);
        let list = go(&ada, "GET", "list", Value::Null).expect(200);
        assert_eq!(list.as_array().unwrap().len(), 3);

        let own = ada.tenant.id.to_ulid();
        assert_eq!(go(&ada, "POST", "set-active", json!({"organizationId": own})).expect(200)["id"], own.as_str());
        assert_eq!(session(&ada), own.as_str());
        assert_eq!(go(&ada, "POST", "set-active", json!({"organizationSlug": "acme"})).expect(200)["id"], id);
        assert_eq!(go(&ada, "POST", "set-active", json!({"organizationId": null})).expect(200), Value::Null);
        assert_eq!(session(&ada), Value::Null);
        assert_eq!(go(&ada, "GET", "get-full-organization", Value::Null).expect(200), Value::Null);
        assert_eq!(go(&ada, "POST", "invite-member", json!({"email": "x@example.com", "role": "member"})).refusal(400), "VALIDATION_ERROR");
        for stranger in [json!({"organizationId": bob.tenant.id.to_ulid()}), json!({"organizationSlug": bob.tenant.slug.as_str()}), json!({"organizationId": "nonsense"})] {
            assert_eq!(go(&ada, "POST", "set-active", stranger).refusal(403), "FORBIDDEN");
        }
        go(&ada, "POST", "set-active", json!({"organizationId": id})).expect(200);

        let invited = go(&ada, "POST", "invite-member", json!({"email": "bob@example.com", "role": ["member"]})).expect(200);
        assert_eq!((&invited["status"], &invited["role"], &invited["organizationId"], &invited["inviterId"]), (&json!("pending"), &json!("member"), &json!(id), &json!(ada.user.id.to_ulid())));
        assert_eq!(go(&ada, "POST", "invite-member", json!({"email": "bob@example.com", "role": "member"})).refusal(409), "CONFLICT");
        let again = go(&ada, "POST", "invite-member", json!({"email": "bob@example.com", "role": "member", "resend": true})).expect(200);
        assert_eq!(again["id"], invited["id"]);
        let full = go(&ada, "GET", &format!("get-full-organization?organizationId={id}"), Value::Null).expect(200);
        assert_eq!((&full["invitations"][0]["email"], &full["members"][0]["user"]["email"], &full["slug"]), (&json!("bob@example.com"), &json!("ada@example.com"), &json!("acme")));
        let waiting = go(&bob, "GET", "list-user-invitations", Value::Null).expect(200);
        assert_eq!((&waiting[0]["id"], &waiting[0]["organizationName"]), (&invited["id"], &json!("Acme")));

        let accepted = go(&bob, "POST", "accept-invitation", json!({"invitationId": invited["id"]})).expect(200);
        assert_eq!((&accepted["invitation"]["status"], &accepted["member"]["role"]), (&json!("accepted"), &json!("member")));
        assert_eq!(go(&bob, "POST", "accept-invitation", json!({"invitationId": invited["id"]})).refusal(404), "NOT_FOUND", "once");
        assert_eq!(session(&bob), id);
        let own = go(&bob, "GET", "get-active-member", Value::Null).expect(200);
        assert_eq!((&own["role"], &own["user"]["name"]), (&json!("member"), &json!("Bob")));
        assert_eq!(go(&bob, "GET", "get-active-member-role", Value::Null).expect(200), json!({"role": "member"}));
        let seen = go(&bob, "GET", "get-full-organization", Value::Null).expect(200);
        assert_eq!((seen["members"].as_array().unwrap().len(), &seen["invitations"]), (2, &json!([])));
        let members = go(&bob, "GET", "list-members", Value::Null).expect(200);
        assert_eq!((members["members"].as_array().unwrap().len(), &members["total"]), (2, &json!(2)));

        let member = own["id"].clone();
        assert_eq!(go(&bob, "POST", "update-member-role", json!({"memberId": member, "role": "owner"})).refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(go(&bob, "GET", "list-invitations", Value::Null).refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(go(&ada, "POST", "update-member-role", json!({"memberId": member, "role": "admin"})).expect(200)["role"], "admin");
        let sent = go(&bob, "POST", "invite-member", json!({"email": "c@example.com", "role": "member"})).expect(200);
        assert_eq!(go(&ada, "POST", "cancel-invitation", json!({"invitationId": sent["id"]})).expect(200)["status"], "canceled");
        assert_eq!(go(&ada, "POST", "cancel-invitation", json!({"invitationId": sent["id"]})).refusal(409), "CONFLICT");
        let all = go(&bob, "GET", "list-invitations", Value::Null).expect(200);
        assert_eq!(all.as_array().unwrap().len(), 2);
        assert_eq!(go(&bob, "POST", "update", json!({"data": {"name": "Acme Ltd"}})).expect(200)["name"], "Acme Ltd");
        assert_eq!(go(&bob, "POST", "update", json!({"data": {}})).refusal(400), "VALIDATION_ERROR");

        assert_eq!(go(&ada, "POST", "leave", json!({"organizationId": id})).refusal(409), "CONFLICT");
        let removed = go(&ada, "POST", "remove-member", json!({"memberIdOrEmail": "bob@example.com"})).expect(200);
        assert_eq!(removed["member"]["id"], member);
        assert_eq!(go(&ada, "POST", "remove-member", json!({"memberIdOrEmail": member})).refusal(404), "NOT_FOUND");
        assert_eq!(session(&bob), Value::Null, "it works there no more");
        let bobs = join(&keystead, &ada, &bob, Role::Member);
        assert_eq!(go(&bob, "POST", "leave", json!({"organizationId": ada.tenant.id.to_ulid()})).expect(200)["id"], bobs);
        assert_eq!(kept["members"][0]["user"]["email"], "ada@example.com");
    }

    fn an_invitation_is_declined_and_answered_by_its_own_address_only(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(|name| keystead.person(name));
        for who in [&bob, &eve] {
            confirm_address(&database, who);
        }
        let go = |who, name: &str, body: Value| ask(&keystead, who, "POST", &format!("/api/auth/organization/{name}"), body);
        let sent = go(&ada, "invite-member", json!({"email": "bob@example.com", "role": "member", "organizationId": ada.tenant.id.to_ulid()})).expect(200);
        let named = json!({"invitationId": sent["id"]});
        for name in ["accept-invitation", "reject-invitation", "cancel-invitation"] {
            assert_eq!(go(&eve, name, named.clone()).refusal(404), "NOT_FOUND", "{name}");
            assert_eq!(go(&eve, name, json!({"invitationId": "nonsense"})).refusal(400), "VALIDATION_ERROR", "{name}");
        }
        let declined = go(&bob, "reject-invitation", named.clone()).expect(200);
        assert_eq!((&declined["invitation"]["status"], &declined["member"]), (&json!("canceled"), &Value::Null));
        assert_eq!(go(&bob, "accept-invitation", named).refusal(404), "NOT_FOUND");
    }
}
