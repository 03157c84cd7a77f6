//! Invitations: by mail to an address, accepted by the account of that address or by one that is made for it.

use std::time::Duration;

use keystead_domain::role::Role;
use keystead_service::{Caller, tenants};
use keystead_testkit::{Answer, Keystead, TestPerson, both_backends};
use serde_json::{Value, json};

use crate::organizations::{ask, confirm_address, join};

const DAY: Duration = Duration::from_secs(24 * 3600);
const IVY: &str = "ivy@example.com";

fn at(person: &TestPerson, rest: &str) -> String {
    format!("/api/user/organizations/{}/invites{rest}", person.tenant.id.to_ulid())
}

fn invite(keystead: &Keystead, who: &TestPerson, of: &TestPerson, email: &str, role: &str) -> Answer {
    ask(keystead, who, "POST", &at(of, ""), json!({"email": email, "role": role}))
}

fn accept(keystead: &Keystead, who: &TestPerson, token: &str) -> Answer {
    ask(keystead, who, "POST", &format!("/api/user/invites/{token}/accept"), Value::Null)
}

/// A browser that opens the page of an invitation, with the cookies that it has.
fn open(keystead: &Keystead, token: &str, session: Option<&str>) -> Answer {
    let call = keystead.get(&format!("/invite/{token}"));
    match session {
        Some(session) => call.cookie(session).send(),
        None => call.send(),
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// Opens the page, and sends its form with these fields.
fn fill_in(keystead: &Keystead, token: &str, session: Option<&str>, fields: &[(&str, &str)]) -> Answer {
    let page = open(keystead, token, session);
    let body = text(&page);
    let form_token = body
        .split(r#"name="form_token" value=""#)
        .nth(1)
        .unwrap_or_else(|| panic!("{body}"))
        .split('"')
        .next()
        .unwrap();
    let step = body.split(r#"name="step" value=""#).nth(1).unwrap().split('"').next().unwrap();
    let mut form = format!("form_token={form_token}&step={step}");
    for (name, value) in fields {
        form.push_str(&format!("&{name}={}", value.replace(' ', "+").replace('@', "%40")));
    }
    let pre = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let cookies = match session {
        Some(session) => format!("{pre}; __Host-keystead_session={session}"),
        None => pre,
    };
    keystead
        .post(&format!("/invite/{token}"))
        .header("cookie", cookies)
        .header("origin", "https://id.test")
        .form(&form)
        .send()
}

/// The session that an answer sets.
fn session(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    let value = cookie.strip_prefix("__Host-keystead_session=").unwrap_or_else(|| panic!("{cookie}"));
    value.split(';').next().unwrap().to_owned()
}

fn role_of(keystead: &Keystead, of: &TestPerson, session: &str) -> String {
    let path = format!("/api/user/organizations/{}/my-membership", of.tenant.id.to_ulid());
    let own = keystead.get(&path).cookie(session).send().expect(200);
    own["data"]["role"].as_str().unwrap().to_owned()
}

both_backends! {
    fn an_existing_account_of_the_confirmed_address_accepts(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(|name| keystead.person(name));
        let made = invite(&keystead, &ada, &ada, "BOB@example.com", "manager").expect(201);
        let data = &made["data"];
        assert_eq!((&made["code"], &data["status"], &data["role"]), (&json!("CREATED"), &json!("pending"), &json!("manager")));
        assert!(data["id"].as_str().unwrap().starts_with("inv_"));
        assert_eq!(data["inviterId"], ada.user.id.to_ulid());
        let token = keystead.mailed_token("bob@example.com", "/invite/");
        assert!(!made.to_string().contains(&token), "only the mail has the link");
        let (subject, body) = keystead.mailbox.to("bob@example.com").pop().unwrap();
        for name in ["Ada", "organization's"] {
            assert!(!subject.contains(name) && !body.contains(name), "a mail repeats nothing that strangers choose: {body}");
        }
        assert_eq!(accept(&keystead, &bob, &token).refusal(403), "EMAIL_NOT_VERIFIED");
        confirm_address(&database, &bob);
        confirm_address(&database, &eve);
        assert_eq!(accept(&keystead, &eve, &token).refusal(403), "FORBIDDEN", "of another address");
        assert_eq!(keystead.post(&format!("/api/user/invites/{token}/accept")).send().refusal(401), "AUTHENTICATION_REQUIRED");
        let accepted = accept(&keystead, &bob, &token).expect(200);
        assert_eq!((&accepted["data"]["role"], &accepted["data"]["userId"]), (&json!("manager"), &json!(bob.user.id.to_ulid())));
        assert_eq!(role_of(&keystead, &ada, &bob.session), "manager");
        assert_eq!(accept(&keystead, &bob, &token).refusal(400), "INVALID_TOKEN", "once");
        assert_eq!(accept(&keystead, &bob, "nonsense").refusal(400), "INVALID_TOKEN");
        let current = keystead.get("/api/auth/get-session").cookie(&bob.session).send().expect(200);
        assert_eq!(current["session"]["activeOrganizationId"], ada.tenant.id.to_ulid());
        assert_eq!(invite(&keystead, &ada, &ada, "bob@example.com", "member").refusal(409), "CONFLICT", "a member already");
        let list = ask(&keystead, &ada, "GET", &at(&ada, ""), Value::Null).expect(200);
        assert_eq!((&list["data"][0]["status"], &list["meta"]["pagination"]["total"]), (&json!("accepted"), &json!(1)));
    }

    fn roles_say_who_invites_whom_and_strangers_nobody(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, cleo, eve] = ["Ada", "Bob", "Cleo", "Eve"].map(|name| keystead.person(name));
        join(&keystead, &ada, &bob, Role::Admin);
        join(&keystead, &ada, &cleo, Role::Manager);
        assert_eq!(invite(&keystead, &cleo, &ada, IVY, "member").refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(invite(&keystead, &bob, &ada, IVY, "owner").refusal(403), "INSUFFICIENT_PERMISSIONS");
        assert_eq!(invite(&keystead, &eve, &ada, IVY, "member").refusal(403), "FORBIDDEN");
        for bad in [json!({}), json!({"email": "x", "role": "member"}), json!({"email": IVY, "role": "king"})] {
            assert_eq!(ask(&keystead, &ada, "POST", &at(&ada, ""), bad).refusal(400), "VALIDATION_ERROR");
        }
        let id = invite(&keystead, &ada, &ada, IVY, "owner").expect(201)["data"]["id"].as_str().unwrap().to_owned();
        assert_eq!(invite(&keystead, &bob, &ada, "IVY@example.com", "member").refusal(409), "CONFLICT", "one at a time");
        invite(&keystead, &eve, &eve, IVY, "member").expect(201);
        for (method, rest) in [("POST", format!("/{id}/resend")), ("DELETE", format!("/{id}"))] {
            assert_eq!(ask(&keystead, &bob, method, &at(&ada, &rest), Value::Null).refusal(403), "INSUFFICIENT_PERMISSIONS", "above its own role");
            assert_eq!(ask(&keystead, &cleo, method, &at(&ada, &rest), Value::Null).refusal(403), "INSUFFICIENT_PERMISSIONS");
            assert_eq!(ask(&keystead, &eve, method, &at(&ada, &rest), Value::Null).refusal(403), "FORBIDDEN");
            assert_eq!(ask(&keystead, &eve, method, &at(&eve, &rest), Value::Null).refusal(404), "NOT_FOUND", "of another organization");
            assert_eq!(ask(&keystead, &ada, method, &at(&ada, &rest.replace(&id, "nonsense")), Value::Null).refusal(404), "NOT_FOUND");
        }
        for who in [&cleo, &eve] {
            assert_eq!(ask(&keystead, who, "GET", &at(&ada, ""), Value::Null).status, 403);
        }
    }

    fn a_link_is_replaced_taken_back_and_runs_out(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, ivy) = (keystead.person("Ada"), keystead.person("Ivy"));
        confirm_address(&database, &ivy);
        let id = invite(&keystead, &ada, &ada, IVY, "member").expect(201)["data"]["id"].as_str().unwrap().to_owned();
        let first = keystead.mailed_token(IVY, "/invite/");
        keystead.advance(DAY);
        let resent = ask(&keystead, &ada, "POST", &at(&ada, &format!("/{id}/resend")), Value::Null).expect(200);
        assert_eq!((&resent["data"]["id"], &resent["data"]["status"]), (&json!(id), &json!("pending")));
        let second = keystead.mailed_token(IVY, "/invite/");
        assert_eq!(accept(&keystead, &ivy, &first).refusal(400), "INVALID_TOKEN", "the fresh one ends the old one");
        assert_eq!(ask(&keystead, &ada, "DELETE", &at(&ada, &format!("/{id}")), Value::Null).expect(200)["data"]["status"], "cancelled");
        assert_eq!(accept(&keystead, &ivy, &second).refusal(400), "INVALID_TOKEN");
        assert_eq!(open(&keystead, &second, None).status, 404);
        for (method, rest) in [("POST", format!("/{id}/resend")), ("DELETE", format!("/{id}"))] {
            assert_eq!(ask(&keystead, &ada, method, &at(&ada, &rest), Value::Null).refusal(409), "CONFLICT");
        }
        // Seven days, and then another can be made.
        invite(&keystead, &ada, &ada, IVY, "member").expect(201);
        let third = keystead.mailed_token(IVY, "/invite/");
        keystead.advance(7 * DAY - Duration::from_secs(60));
        assert_eq!(open(&keystead, &third, None).status, 200);
        let ivy = TestPerson { session: sign_in(&keystead, &ivy), ..ivy };
        let ada = TestPerson { session: sign_in(&keystead, &ada), ..ada };
        keystead.advance(Duration::from_secs(60));
        assert_eq!(accept(&keystead, &ivy, &third).refusal(400), "INVALID_TOKEN");
        let list = ask(&keystead, &ada, "GET", &at(&ada, ""), Value::Null).expect(200);
        let statuses: Vec<_> = list["data"].as_array().unwrap().iter().map(|each| each["status"].clone()).collect();
        assert_eq!(statuses, ["expired", "cancelled"]);
        invite(&keystead, &ada, &ada, IVY, "member").expect(201);
        accept(&keystead, &ivy, &keystead.mailed_token(IVY, "/invite/")).expect(200);
    }

    fn an_address_gets_so_many_mails_and_no_more(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let id = invite(&keystead, &ada, &ada, IVY, "member").expect(201)["data"]["id"].as_str().unwrap().to_owned();
        let resend = || ask(&keystead, &ada, "POST", &at(&ada, &format!("/{id}/resend")), Value::Null);
        for _ in 0..4 {
            resend().expect(200);
        }
        let last = keystead.mailed_token(IVY, "/invite/");
        assert_eq!(resend().refusal(409), "CONFLICT");
        keystead.deliver();
        assert_eq!(keystead.mailbox.to(IVY).len(), 5);
        assert_eq!(open(&keystead, &last, None).status, 200, "the last link that was mailed stays good");
        let eve = keystead.person("Eve");
        assert_eq!(invite(&keystead, &eve, &eve, IVY, "member").refusal(409), "CONFLICT");
        let list = ask(&keystead, &eve, "GET", &at(&eve, ""), Value::Null).expect(200);
        assert_eq!(list["data"], json!([]), "nothing is made without its mail");
    }

    fn who_has_no_account_makes_one_on_the_page(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        invite(&keystead, &ada, &ada, IVY, "admin").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        let page = open(&keystead, &token, None);
        assert_eq!((page.status, page.header("referrer-policy"), page.header("cache-control")), (200, "no-referrer", "no-store"));
        let body = text(&page);
        for shown in ["<strong>Ada</strong> invites", IVY, "Ada&#39;s organization", "Make my account and join"] {
            assert!(body.contains(shown) || body.contains(&shown.replace("&#39;", "'")), "{shown}: {body}");
        }
        let weak = fill_in(&keystead, &token, None, &[("name", "Ivy"), ("password", "short")]);
        assert_eq!(weak.status, 422);
        assert!(text(&weak).contains("role=\"alert\"") && text(&weak).contains("value=\"Ivy\"") && !text(&weak).contains("short\""), "{}", text(&weak));
        assert_eq!(fill_in(&keystead, &token, None, &[("name", " "), ("password", TestPerson::PASSWORD)]).status, 422);
        let made = fill_in(&keystead, &token, None, &[("name", "Ivy"), ("password", TestPerson::PASSWORD), ("email", "eve@example.com")]);
        assert_eq!(made.status, 200, "{}", text(&made));
        let session = session(&made);
        let me = keystead.get("/api/user/me").cookie(&session).send().expect(200);
        assert_eq!((&me["data"]["email"], &me["data"]["isVerified"], &me["data"]["organizationCount"]), (&json!(IVY), &json!(true), &json!(1)), "the link says which address");
        assert_eq!(role_of(&keystead, &ada, &session), "admin");
        assert_eq!(open(&keystead, &token, None).status, 404, "once");
    }

    fn who_has_an_account_signs_in_on_the_page(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, ivy, eve] = ["Ada", "Ivy", "Eve"].map(|name| keystead.person(name));
        confirm_address(&database, &ivy);
        invite(&keystead, &ada, &ada, IVY, "member").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        let body = text(&open(&keystead, &token, Some(&eve.session)));
        assert!(body.contains("You are signed in as eve@example.com") && body.contains("Sign in and join"), "{body}");
        let wrong = fill_in(&keystead, &token, None, &[("password", "not the password")]);
        assert_eq!((wrong.status, wrong.header("set-cookie").contains("session")), (401, false));
        let joined = fill_in(&keystead, &token, Some(&eve.session), &[("password", TestPerson::PASSWORD), ("code", "")]);
        assert_eq!(joined.status, 200, "{}", text(&joined));
        assert_eq!(role_of(&keystead, &ada, &session(&joined)), "member");
        // Nobody makes a second account for the address with what the page shows to others.
        invite(&keystead, &eve, &eve, IVY, "member").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        let page = open(&keystead, &token, Some(&ivy.session));
        assert!(text(&page).contains("value=\"join\""), "{}", text(&page));
        let joined = fill_in(&keystead, &token, Some(&ivy.session), &[]);
        assert_eq!(joined.status, 200, "{}", text(&joined));
        assert_eq!(role_of(&keystead, &eve, &ivy.session), "member");
    }

    fn an_account_that_has_not_confirmed_the_address_does_not_accept(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        // Somebody signs up with an address that is not theirs, and waits for its invitations.
        let (ada, squatter) = (keystead.person("Ada"), keystead.person("Ivy"));
        invite(&keystead, &ada, &ada, IVY, "admin").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        let body = text(&open(&keystead, &token, Some(&squatter.session)));
        assert!(body.contains("not confirmed its address") && !body.contains("<form"), "{body}");
        let refused = fill_in(&keystead, &token, None, &[("password", TestPerson::PASSWORD)]);
        assert_eq!(refused.status, 403, "{}", text(&refused));
        let by_id = ask(&keystead, &squatter, "POST", "/api/auth/organization/accept-invitation", json!({"invitationId": "inv_01h455vb4pex5vsknk084sn02q"}));
        assert_eq!(by_id.refusal(404), "NOT_FOUND");
        assert_eq!(ask(&keystead, &squatter, "GET", "/api/auth/organization/list-user-invitations", Value::Null).expect(200), json!([]));
    }

    fn an_invitation_ends_with_the_power_to_make_it(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let [ada, bob, ivy] = ["Ada", "Bob", "Ivy"].map(|name| keystead.person(name));
        confirm_address(&database, &ivy);
        let bobs = join(&keystead, &ada, &bob, Role::Admin);
        let role = format!("/api/user/organizations/{}/members/{bobs}/role", ada.tenant.id.to_ulid());
        invite(&keystead, &bob, &ada, IVY, "admin").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        ask(&keystead, &ada, "PUT", &role, json!({"role": "manager"})).expect(200);
        assert_eq!(accept(&keystead, &ivy, &token).refusal(400), "INVALID_TOKEN");
        let list = ask(&keystead, &ada, "GET", &at(&ada, ""), Value::Null).expect(200);
        assert_eq!(list["data"][0]["status"], "cancelled");
        ask(&keystead, &ada, "PUT", &role, json!({"role": "admin"})).expect(200);
        invite(&keystead, &bob, &ada, IVY, "member").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        ask(&keystead, &bob, "DELETE", &format!("/api/user/organizations/{}/my-membership", ada.tenant.id.to_ulid()), Value::Null).expect(200);
        assert_eq!(accept(&keystead, &ivy, &token).refusal(400), "INVALID_TOKEN");
        // Nobody joins while the organization is suspended.
        invite(&keystead, &ada, &ada, IVY, "member").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        tenants::suspend(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        assert_eq!(accept(&keystead, &ivy, &token).refusal(403), "TENANT_VIOLATION");
        assert_eq!(open(&keystead, &token, None).status, 403);
        tenants::resume(&keystead.engine, &Caller::host(), &ada.tenant.slug).unwrap();
        accept(&keystead, &ivy, &token).expect(200);
    }

    fn a_page_takes_its_form_from_our_own_pages_only(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        invite(&keystead, &ada, &ada, IVY, "member").expect(201);
        let token = keystead.mailed_token(IVY, "/invite/");
        let form = format!("step=sign_up&name=Ivy&password={}", TestPerson::PASSWORD.replace(' ', "+"));
        let path = format!("/invite/{token}");
        assert_eq!(keystead.post(&path).form(&form).send().status, 403, "without the token of the form");
        assert_eq!(keystead.post(&path).header("origin", "https://evil.test").form(&form).send().status, 403);
        assert_eq!(open(&keystead, &token, None).status, 200, "and it is as good as before");
    }
}

/// Signs somebody in anew.
fn sign_in(keystead: &Keystead, who: &TestPerson) -> String {
    use keystead_domain::password::Password;
    use keystead_service::sign_ins::{PasswordSignIn, SignIn, with_password};
    let password = Password::attempt(TestPerson::PASSWORD).unwrap();
    let typed = PasswordSignIn { email: who.user.email.clone(), password, second_factor: None };
    let visitor = Caller::visitor(keystead_service::Arrival::default());
    match with_password(&keystead.engine, &visitor, typed) {
        Ok(SignIn::Done(_, session)) => session.token.expose().clone(),
        _ => panic!("cannot sign in"),
    }
}
