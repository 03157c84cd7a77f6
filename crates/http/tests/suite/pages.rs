//! Pages, as a browser without JavaScript meets them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystead_domain::id::AccessRequestId;
use keystead_service::Caller;
use keystead_service::access_requests::{self, Terms};
use keystead_testkit::{Answer, Call, Keystead, TestTenant, both_backends};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::token;

const HOME: &str = "https://id.test";
const PASSWORD: &str = "correct horse battery staple";
const GOOD: &str = "company=Acme&contact_email=ada%40example.com&intended_use=To+sign+in.%0D%0AAnd+out.";

/// A browser: it keeps its cookie, and fills in the forms that it is shown.
#[derive(Default)]
struct Browser {
    cookie: String,
    token: String,
}

impl Browser {
    /// Opens a page.
    fn open(&mut self, keystead: &Keystead, path: &str) -> Answer {
        let answer = self.with_cookie(keystead.get(path)).header("sec-fetch-site", "none").send();
        self.remember(&answer);
        answer
    }

    /// Sends the form that it was shown last, as browsers do.
    fn send(&mut self, keystead: &Keystead, path: &str, typed: &str) -> Answer {
        let call = self.filled(keystead, path, typed);
        let answer = call.header("origin", HOME).header("sec-fetch-site", "same-origin").send();
        self.remember(&answer);
        answer
    }

    /// The form, to be sent from somewhere.
    fn filled(&self, keystead: &Keystead, path: &str, typed: &str) -> Call {
        self.with_cookie(keystead.post(path)).form(&format!("{typed}&form_token={}", self.token))
    }

    fn with_cookie(&self, call: Call) -> Call {
        if self.cookie.is_empty() { call } else { call.header("cookie", format!("other=1; {}", self.cookie)) }
    }

    fn remember(&mut self, answer: &Answer) {
        if let Some((cookie, _)) = answer.header("set-cookie").split_once(';') {
            self.cookie = cookie.to_owned();
        }
        if let Some((_, rest)) = html(answer).split_once(r#"name="form_token" value=""#) {
            self.token = rest.split('"').next().unwrap().to_owned();
        }
    }
}

fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// Checks what every page has.
#[track_caller]
fn is_page(answer: &Answer, status: u16) -> String {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (status, "text/html; charset=utf-8"),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let policy = answer.header("content-security-policy");
    for directive in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.split("; ").any(|one| one == directive), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    let page = html(answer);
    let (_, style) = page.split_once("<style>").unwrap();
    let hash = STANDARD.encode(Sha256::digest(style.split_once("</style>").unwrap().0));
    assert!(
        policy.contains(&format!("style-src 'sha256-{hash}';")),
        "the page's style is the one that is allowed"
    );
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
    // Nothing is fetched from anywhere, and nothing runs.
    for active in ["<script", " src=", " href=\"http", "url(", " onclick", " style="] {
        assert!(!page.contains(active), "{active}: {page}");
    }
    page
}

fn requests(keystead: &Keystead) -> Vec<AccessRequestId> {
    let all = access_requests::list(&keystead.engine, &Caller::host(), None).unwrap();
    all.iter().map(|reviewed| reviewed.request.id).collect()
}

/// The path of the link in the mail that approving a request sends.
fn approved_link(keystead: &Keystead) -> String {
    let id = requests(keystead)[0];
    access_requests::approve(&keystead.engine, &Caller::host(), id, Terms::default()).unwrap();
    keystead.deliver();
    let (_, text) = keystead.mailbox.to("ada@example.com").pop().unwrap();
    let link = text.split_whitespace().find(|word| word.contains("/claim/")).unwrap();
    link.strip_prefix(HOME).unwrap().to_owned()
}

/// The path of the newest link of a page that an address was mailed.
fn mailed_link(keystead: &Keystead, address: &str, page: &str) -> String {
    format!("{page}{}", keystead.mailed_token(address, page))
}

/// An access token of the tenant's app, and a session of an end user.
fn signed_up(keystead: &Keystead, tenant: &TestTenant) -> (String, String) {
    let token = token(keystead, tenant);
    let post = |path: &str, body: Value| keystead.post(path).bearer(&token).json(&body).send();
    post("/v2/auth/signup", json!({"email": "ada@example.com", "password": PASSWORD})).expect(201);
    let code = keystead.code_for("ada@example.com");
    let verified =
        post("/v2/auth/verify-email", json!({"email": "ada@example.com", "code": code})).expect(200);
    let session = verified["session_token"].as_str().unwrap().to_owned();
    (token, session)
}

/// What stands in the definition under this term.
fn shown(page: &str, term: &str) -> String {
    let (_, rest) =
        page.split_once(&format!("<dt>{term}</dt><dd><code>")).unwrap_or_else(|| panic!("{page}"));
    rest.split('<').next().unwrap().to_owned()
}

both_backends! {
    fn from_the_form_to_the_credentials(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let mut browser = Browser::default();
        let opened = browser.open(&keystead, "/request-access");
        let cookie = opened.header("set-cookie");
        assert!(cookie.starts_with("__Host-keystead-pre=pre_"), "{cookie}");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let page = is_page(&opened, 200);
        assert!(page.contains("<form method=\"post\">"), "{page}");
        assert_eq!(browser.open(&keystead, "/request-access").header("set-cookie"), "", "it has one");

        let received = is_page(&browser.send(&keystead, "/request-access", GOOD), 202);
        let ids = requests(&keystead);
        assert!(received.contains(&ids[0].to_string()) && received.contains("ada@example.com"), "{received}");

        let link = approved_link(&keystead);
        let mut browser = Browser::default();
        for _ in 0..3 {
            is_page(&browser.open(&keystead, &link), 200);
        }
        let page = is_page(&browser.send(&keystead, &link, ""), 200);
        let (client_id, secret) = (shown(&page, "Client id"), shown(&page, "Client secret"));
        assert_eq!(shown(&page, "Token endpoint"), "https://id.test/oauth/token");
        let token = keystead.token(&client_id, &secret);
        assert_eq!(keystead.get("/v2/apps/me").bearer(&token).send().expect(200)["slug"], "acme");
        is_page(&browser.send(&keystead, &link, ""), 404);
    }

    fn what_is_wrong_is_said_beside_the_field_and_what_was_typed_is_kept(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let mut browser = Browser::default();
        browser.open(&keystead, "/request-access");
        let typed = "company=%3Cb%3E%22Acme%22&contact_email=nonsense&intended_use=%3C%2Ftextarea%3E%3Cscript%3E";
        let page = is_page(&browser.send(&keystead, "/request-access", typed), 422);
        assert!(page.contains("role=\"alert\""), "{page}");
        assert!(page.contains(r#"<p class="wrong" id="contact_email-error">Not an e-mail address.</p>"#), "{page}");
        assert!(page.contains(r#"aria-describedby="contact_email-hint contact_email-error" aria-invalid="true""#), "{page}");
        assert!(!page.contains("company-error"), "{page}");
        for kept in ["value=\"&lt;b&gt;&quot;Acme&quot;\"", "value=\"nonsense\"", "&lt;/textarea&gt;&lt;script&gt;</textarea>"] {
            assert!(page.contains(kept), "{kept}: {page}");
        }
        let long = format!("company=+&contact_email=ada%40example.com&intended_use={}", "x".repeat(2001));
        let page = is_page(&browser.send(&keystead, "/request-access", &long), 422);
        assert!(page.contains("Must not be empty.") && page.contains("Must have at most 2000 characters."), "{page}");
        is_page(&browser.send(&keystead, "/request-access", ""), 422);
        assert!(requests(&keystead).is_empty());
        is_page(&browser.send(&keystead, "/request-access", GOOD), 202);
    }

    fn a_form_is_taken_from_our_own_page_in_the_same_browser_only(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let mut browser = Browser::default();
        browser.open(&keystead, "/request-access");
        let filled = || browser.filled(&keystead, "/request-access", GOOD);
        for foreign in ["null", "https://evil.test", "http://id.test", "https://id.test.evil.test"] {
            let page = is_page(&filled().header("origin", foreign).send(), 403);
            assert!(page.contains("somewhere else"), "{page}");
        }
        is_page(&filled().header("sec-fetch-site", "cross-site").send(), 403);
        let mut other = Browser::default();
        other.open(&keystead, "/request-access");
        for (cookie, token) in [
            (browser.cookie.as_str(), ""),
            (&browser.cookie, &*other.token),
            (&other.cookie, &browser.token),
            ("__Host-keystead-pre=", &browser.token),
            ("keystead-pre=pre_x", &browser.token),
        ] {
            let body = format!("{GOOD}&form_token={token}");
            let page = is_page(&keystead.post("/request-access").header("cookie", cookie).form(&body).send(), 403);
            assert!(page.contains("too old"), "{page}");
        }
        is_page(&keystead.post("/request-access").form(GOOD).send(), 403);
        let twice = format!("{}; {}", browser.cookie, other.cookie);
        let body = format!("{GOOD}&form_token={}", browser.token);
        is_page(&keystead.post("/request-access").header("cookie", twice).form(&body).send(), 403);
        assert!(requests(&keystead).is_empty());
        // A program without an Origin, that read the form, is no other site.
        is_page(&filled().send(), 202);
    }

    fn what_is_no_form_is_refused_as_a_page(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        for path in ["/request-access", "/claim/link_x", "/confirm-address/link_x", "/restore-address/link_x"] {
            let post = |media: &str, body: &[u8]| keystead.post(path).body(media, body).send();
            is_page(&post("application/json", b"{}"), 415);
            is_page(&keystead.post(path).send(), 415);
            let form = "application/x-www-form-urlencoded; charset=utf-8";
            is_page(&post(form, &[b'x'; 70_000]), 413);
            is_page(&post(form, b"company=%ff"), 400);
            is_page(&post(form, b"company=a&company=b"), 400);
            is_page(&post(form, b""), 403);
            is_page(&keystead.request("PUT", path).send(), 405);
        }
    }

    fn an_address_is_changed_and_restored_by_buttons(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let tenant = keystead.tenant("Acme <&> Sons");
        let (token, session) = signed_up(&keystead, &tenant);
        let mut browser = Browser::default();
        let body = json!({"current_password": PASSWORD, "email": "ada@new.example"});
        keystead.request("PATCH", "/v2/auth/me").bearer(&token).session(&session).json(&body).send().expect(200);
        let me = || keystead.get("/v2/auth/me").bearer(&token).session(&session).send();

        let confirm = mailed_link(&keystead, "ada@new.example", "/confirm-address/");
        for _ in 0..2 {
            let page = is_page(&browser.open(&keystead, &confirm), 200);
            assert!(page.contains("<form method=\"post\">") && page.contains("Use the new address"), "{page}");
            is_page(&keystead.post(&confirm).form("").send(), 403);
        }
        assert_eq!(me().expect(200)["email"], "ada@example.com", "opening it changes nothing");
        let page = is_page(&browser.send(&keystead, &confirm, ""), 200);
        assert!(page.contains("<strong>Acme &lt;&amp;&gt; Sons</strong> with <strong>ada@new.example</strong>"), "{page}");
        assert_eq!(me().expect(200)["email"], "ada@new.example");
        is_page(&browser.send(&keystead, &confirm, ""), 404);

        let restore = mailed_link(&keystead, "ada@example.com", "/restore-address/");
        let page = is_page(&browser.open(&keystead, &restore), 200);
        assert!(page.contains("Undo the change"), "{page}");
        is_page(&browser.send(&keystead, &restore.replace("restore", "confirm"), ""), 404);
        assert_eq!(me().expect(200)["email"], "ada@new.example");
        let page = is_page(&browser.send(&keystead, &restore, ""), 200);
        assert!(page.contains("<strong>ada@example.com</strong> again") && page.contains("set a new password"), "{page}");
        assert_eq!(me().problem(401), "invalid_session");
        is_page(&browser.send(&keystead, &restore, ""), 404);
    }

    fn dead_links_are_answered_alike(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let mut browser = Browser::default();
        browser.open(&keystead, "/request-access");
        browser.send(&keystead, "/request-access", GOOD);
        let spent = approved_link(&keystead);
        is_page(&browser.open(&keystead, &spent), 200);
        is_page(&browser.send(&keystead, &spent, ""), 200);
        access_requests::send_fresh_link(&keystead.engine, &Caller::host(), requests(&keystead)[0]).unwrap();
        keystead.deliver();
        let (_, text) = keystead.mailbox.to("ada@example.com").pop().unwrap();
        let expired = text.split_whitespace().find_map(|word| word.strip_prefix(HOME).filter(|path| path.starts_with("/claim/"))).unwrap();
        keystead.advance(std::time::Duration::from_secs(72 * 3600));
        let long = format!("/claim/{}", "x".repeat(10_000));
        let strange = ["/claim/%ff", "/claim/%00", "/claim/..%2f", "/claim/%C3%A4"];
        let expected = is_page(&browser.send(&keystead, "/claim/link_unknown", ""), 404);
        for path in [&*spent, expired, &long].into_iter().chain(strange) {
            for path in [path.to_owned(), path.replace("claim", "confirm-address"), path.replace("claim", "restore-address")] {
                is_page(&browser.open(&keystead, &path), 200);
                assert_eq!(is_page(&browser.send(&keystead, &path, ""), 404), expected, "{path}");
            }
        }
    }

    fn on_loopback_the_cookie_has_a_name_that_browsers_send_back(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.issuer = "http://127.0.0.1:8000".to_owned());
        let mut browser = Browser::default();
        let opened = browser.open(&keystead, "/request-access");
        let cookie = opened.header("set-cookie");
        assert!(cookie.starts_with("keystead-pre=pre_") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
        let filled = || browser.filled(&keystead, "/request-access", GOOD);
        let page = is_page(&filled().header("origin", "http://localhost:8000").send(), 403);
        assert!(page.contains("http://127.0.0.1:8000"), "it says where to go: {page}");
        is_page(&filled().header("origin", "http://127.0.0.1:8000").send(), 202);
    }
}
