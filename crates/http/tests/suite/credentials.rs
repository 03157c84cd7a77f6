//! Every kind of credential, shown in every way on every surface: each is good where it belongs, and nowhere
//! else.

use keystead_domain::Owner;
use keystead_domain::app::Introspect;
use keystead_testkit::{Call, Keystead, both_backends};
use serde_json::json;

use crate::introspection::{Service, end_user, pinned};
use crate::people::{key, put_on};

/// How a credential is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Bearer,
    Key,
    Cookie,
    Session,
}

const WAYS: [Way; 4] = [Way::Bearer, Way::Key, Way::Cookie, Way::Session];

impl Way {
    fn show(self, call: Call, credential: &str) -> Call {
        match self {
            Self::Bearer => call.bearer(credential),
            Self::Key => call.key(credential),
            Self::Cookie => call.cookie(credential),
            Self::Session => call.session(credential),
        }
    }
}

/// The kinds that there are, in the order of the table below.
const KINDS: [&str; 6] = [
    "a person's session",
    "an end user's session",
    "an API key",
    "an app's token",
    "an app's secret",
    "nothing",
];

/// A surface, what is asked of it, and the status for each kind of credential in each way.
type Row = (&'static str, &'static str, [[u16; 4]; 6]);

/// What is no credential at a place is nothing there: 401. What is good, and not for this, is 403.
#[rustfmt::skip]
const TABLE: [Row; 7] = [
    //                            Bearer   Key  Cookie Session
    ("GET", "/v2/apps/me", [
        [401, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
        [200, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
    ]),
    ("GET", "/api/auth/get-session", [
        // It tells of a session, or `null`: what is no session is none.
        [200; 4], [200; 4], [200; 4],
        [200; 4], [200; 4], [200; 4],
    ]),
    ("GET", "/api/user/me", [
        [401, 401, 200, 401], [401, 401, 401, 401], [200, 200, 401, 401],
        [403, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
    ]),
    ("GET", "/api/v1/me", [
        [401, 401, 401, 401], [401, 401, 401, 401], [200, 200, 401, 401],
        [403, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
    ]),
    ("POST", "/oauth/introspect", [
        [401, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
        [200, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
    ]),
    ("GET", "/forward-auth", [
        [401, 401, 401, 401], [401, 401, 401, 401], [200, 200, 401, 401],
        [200, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
    ]),
    ("GET", "/forward-auth?cookie=1", [
        [401, 401, 200, 401], [401, 401, 401, 401], [200, 200, 401, 401],
        [200, 401, 401, 401], [401, 401, 401, 401], [401, 401, 401, 401],
    ]),
];

both_backends! {
    fn each_credential_is_good_where_it_belongs_and_nowhere_else(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, acme) = (keystead.person("Ada"), keystead.tenant("Acme"));
        put_on(&keystead, &ada.tenant.slug, "studio");
        let app = Service::new(&keystead, acme.owner(), Introspect::Own);
        let token = app.token(&keystead);
        let (_, eves) = end_user(&keystead, &token);
        let key = key(&keystead, &ada, &pinned(&ada, &["user:read"]));
        let credentials = [ada.session.as_str(), &eves, &key, &token, &app.secret, "nothing"];
        let following = keystead.follow();
        // Twice: also what is remembered is found among its own kind alone.
        for _ in 0..2 {
            for (method, path, statuses) in TABLE {
                for ((kind, credential), expected) in KINDS.iter().zip(credentials).zip(statuses) {
                    for (way, expected) in WAYS.into_iter().zip(expected) {
                        let call = way.show(keystead.request(method, path), credential);
                        let call = if method == "POST" { call.form("token=x") } else { call };
                        let answer = call.send();
                        assert_eq!(answer.status, expected, "{kind} as {way:?} at {path}: {answer:?}");
                        if path == "/api/auth/get-session" && answer.status == 200 {
                            let signed_in = *kind == KINDS[0] && way == Way::Cookie;
                            assert_eq!(answer.json() != json!(null), signed_in, "{kind} as {way:?}");
                        }
                    }
                }
            }
        }
        drop(following);
    }

    fn an_end_users_session_counts_beside_its_own_app_alone(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, acme, other) = (keystead.person("Ada"), keystead.tenant("Acme"), keystead.tenant("Other"));
        let [own, strange] = [&acme, &other].map(|tenant| keystead.token(&tenant.client_id, &tenant.client_secret));
        let platforms = Service::new(&keystead, Owner::Platform, Introspect::Platform).token(&keystead);
        let (_, eves) = end_user(&keystead, &own);
        let key = key(&keystead, &ada, &pinned(&ada, &["user:read", "api"]));
        for (bearer, session, expected) in [
            (&own, &eves, 200),
            (&strange, &eves, 401),
            (&platforms, &eves, 403),
            (&own, &ada.session, 401),
            (&own, &key, 401),
            (&own, &own, 401),
            (&key, &eves, 401),
            (&eves, &eves, 401),
        ] {
            let answer = keystead.get("/v2/auth/me").bearer(bearer).session(session).send();
            assert_eq!(answer.status, expected, "{answer:?}");
        }
    }

    fn two_credentials_are_one_too_many(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let (ada, acme) = (keystead.person("Ada"), keystead.tenant("Acme"));
        put_on(&keystead, &ada.tenant.slug, "studio");
        let token = keystead.token(&acme.client_id, &acme.client_secret);
        let key = key(&keystead, &ada, &pinned(&ada, &["user:read"]));
        for (path, expected) in [
            ("/v2/apps/me", 400),
            ("/api/user/me", 400),
            ("/api/v1/me", 400),
            ("/forward-auth", 403),
        ] {
            for (bearer, key) in [(&token, &key), (&key, &key), (&token, &token)] {
                let answer = keystead.get(path).bearer(bearer).key(key).send();
                assert_eq!(answer.status, expected, "{path}: {answer:?}");
            }
        }
    }
}
