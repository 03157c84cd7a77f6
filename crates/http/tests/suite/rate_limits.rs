//! How often somebody may ask, as a client meets it.

use std::time::Duration;

use keystead_domain::network::ClientAddress;
use keystead_service::Settings;
use keystead_service::rate_limits::RateLimits;
use keystead_testkit::{Answer, Call, Keystead, TestDatabase, both_backends, rate_limits};
use serde_json::{Value, json};

use crate::token;

const ADA: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const FIELDS: [&str; 8] = [
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-policy",
    "ratelimit",
];

fn limited(database: &TestDatabase, change: impl FnOnce(&mut RateLimits)) -> Keystead {
    limited_and(database, change, |_| {})
}

fn limited_and(
    database: &TestDatabase,
    change: impl FnOnce(&mut RateLimits),
    more: impl FnOnce(&mut Settings),
) -> Keystead {
    Keystead::with(database, |settings| {
        let mut limits = rate_limits();
        change(&mut limits);
        settings.rate_limits = Some(limits);
        more(settings);
    })
}

fn behind_proxies(settings: &mut Settings) {
    settings.client_address = ClientAddress {
        header: Some("X-Forwarded-For".to_owned()),
        trusted: vec!["10.0.0.0/8".parse().unwrap()],
    };
}

/// The three numbers, which are the same with and without `X-`.
fn numbers(answer: &Answer) -> [u64; 3] {
    ["limit", "remaining", "reset"].map(|name| {
        let value = answer.header(&format!("ratelimit-{name}"));
        assert_eq!(answer.header(&format!("x-ratelimit-{name}")), value);
        value.parse().unwrap()
    })
}

fn retry_after(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap()
}

both_backends! {
    fn every_answer_says_what_is_left(database: TestDatabase) {
        let keystead = limited(&database, |limits| limits.quotas.app = "3/1m".parse().unwrap());
        let acme = keystead.tenant("Acme");
        let token = token(&keystead, &acme);
        let get = || keystead.get("/v2/apps/me").bearer(&token).send();
        let answer = get();
        assert_eq!(numbers(&answer), [3, 2, 60]);
        assert_eq!(answer.header("ratelimit-policy"), r#""app";q=3;w=60"#);
        assert_eq!(answer.header("ratelimit"), r#""app";r=2;t=60"#);
        assert_eq!(answer.header("retry-after"), "");
        keystead.advance(Duration::from_millis(500));
        assert_eq!(numbers(&get()), [3, 1, 60]);
        assert_eq!(numbers(&get()), [3, 0, 60]);
        let refused = get();
        assert_eq!((refused.header("ratelimit"), retry_after(&refused)), (r#""app";r=0;t=60"#, 60));
        assert_eq!(refused.header("cache-control"), "no-store");
        assert_eq!(refused.problem(429), "rate_limited");
        // Another app of the same tenant has its own, and errors say what is left too.
        let (id, secret) = keystead.app(acme.owner(), &[]);
        let other = keystead.token(&id, &secret);
        let answer = keystead.post("/v2/auth/login").bearer(&other).body("text/plain", "").send();
        assert_eq!((answer.status, numbers(&answer)[1]), (415, 2));
        keystead.advance(Duration::from_secs(60));
        assert_eq!(numbers(&get()), [3, 2, 60]);
    }

    fn nothing_is_said_where_there_is_no_limit(database: TestDatabase) {
        let off = Keystead::on(&database);
        let on = limited(&database, |limits| limits.quotas.anonymous = "1/1m".parse().unwrap());
        for _ in 0..3 {
            for answer in [
                off.get("/v2/apps/me").send(),
                off.get("/nothing").send(),
                on.get("/health/live").send(),
                on.get("/health/ready").send(),
                on.get("/.well-known/jwks.json").send(),
            ] {
                assert_ne!(answer.status, 429);
                for field in FIELDS {
                    assert_eq!(answer.header(field), "", "{field}");
                }
            }
        }
    }

    fn a_stranger_counts_by_network_wherever_it_knocks(database: TestDatabase) {
        let keystead = limited(&database, |limits| limits.quotas.anonymous = "5/15m".parse().unwrap());
        let knock = |n: usize, from: &str| {
            let call = match n % 5 {
                0 => keystead.get("/nothing"),
                1 => keystead.get("/v2/nothing"),
                2 => keystead.get("/v2/apps/me"),
                3 => keystead.request("PUT", "/v2/auth/login"),
                _ => keystead.post("/oauth/token").form("grant_type=password"),
            };
            call.from(from).send()
        };
        for n in 0..5 {
            let answer = knock(n, "2001:db8:0:1::1");
            assert!([404, 401, 405, 400].contains(&answer.status), "{answer:?}");
            assert_eq!(numbers(&answer), [5, 4 - n as u64, 900]);
            assert_eq!(answer.header("ratelimit-policy"), r#""anonymous";q=5;w=900"#);
        }
        for n in 0..5 {
            let answer = knock(n, "2001:db8:0:1:ffff::2");
            assert_eq!(retry_after(&answer), 900);
            if n == 4 {
                assert_eq!(answer.expect(429)["error"], "temporarily_unavailable");
            } else {
                assert_eq!(answer.problem(429), "rate_limited");
            }
        }
        assert_eq!(knock(0, "2001:db8:0:2::1").status, 404, "another /64");
        assert_eq!(knock(0, "192.0.2.1").status, 404);
        // Who proves who they are is no stranger.
        let good = token(&keystead, &keystead.tenant("Acme"));
        keystead.get("/v2/apps/me").bearer(&good).from("2001:db8:0:1::1").send().expect(200);
    }

    fn bad_tokens_count_by_network_and_keep_no_good_one_out(database: TestDatabase) {
        let keystead = limited(&database, |_| {});
        let good = token(&keystead, &keystead.tenant("Acme"));
        let get = |token: &str| keystead.get("/v2/apps/me").bearer(token).send();
        for n in 0..10 {
            let answer = get("nonsense");
            assert_eq!(numbers(&answer), [10, 9 - n, 60]);
            assert_eq!(answer.header("ratelimit-policy"), r#""anonymous";q=500;w=900, "failed-bearer";q=10;w=60"#);
            assert_eq!(answer.problem(401), "invalid_token");
        }
        let refused = get("nonsense");
        assert_eq!(retry_after(&refused), 60);
        assert_eq!(refused.problem(429), "rate_limited");
        get(&good).expect(200);
        assert_eq!(keystead.get("/v2/apps/me").bearer("nonsense").from("192.0.2.1").send().status, 401);
    }

    fn bad_client_credentials_count_by_network_and_by_the_app_they_name(database: TestDatabase) {
        let keystead = limited(&database, |limits| limits.quotas.failed_client = "3/1m".parse().unwrap());
        let acme = keystead.tenant("Acme");
        let (id, secret) = (acme.client_id.as_str(), acme.client_secret.as_str());
        let ask = |id: &str, secret: &str, from: &str| {
            keystead.post("/v2/oauth/token").from(from).basic(id, secret).form("grant_type=client_credentials").send()
        };
        for n in 1..=3 {
            let answer = ask(id, "wrong", &format!("192.0.2.{n}"));
            assert_eq!(answer.expect(401)["error"], "invalid_client");
        }
        let refused = ask(id, "wrong", "192.0.2.4");
        assert_eq!((retry_after(&refused), refused.header("cache-control")), (60, "no-store"));
        assert_eq!(refused.header("ratelimit-policy"), r#""anonymous";q=500;w=900, "failed-client-ip";q=3;w=60, "failed-client";q=3;w=60"#);
        assert_eq!(refused.expect(429)["error"], "temporarily_unavailable");
        // By network too, also where nothing can be read.
        for _ in 0..3 {
            assert_eq!(ask("not a client id", "x", "203.0.113.1").status, 401);
        }
        assert_eq!(ask("ksc_unknown", "x", "203.0.113.1").status, 429);
        assert_eq!(ask("ksc_unknown", "x", "203.0.113.2").status, 401);
        // The right secret is let in from anywhere, and counts for the app.
        let answer = ask(id, secret, "203.0.113.1");
        assert_eq!(numbers(&answer), [6000, 5999, 60]);
        answer.expect(200);
    }

    fn what_is_asked_for_an_address_counts_for_it_whether_or_not_it_is_known(database: TestDatabase) {
        let keystead = limited(&database, |limits| {
            let three = "3/1m".parse().unwrap();
            let quotas = &mut limits.quotas;
            (quotas.sign_in, quotas.sign_up, quotas.code, quotas.resend) = (three, three, three, three);
        });
        let (acme, other) = (keystead.tenant("Acme"), keystead.tenant("Other"));
        let (acme, other) = (token(&keystead, &acme), token(&keystead, &other));
        let post = |token: &str, path: &str, body: &Value| keystead.post(path).bearer(token).json(body).send();
        post(&acme, "/v2/auth/signup", &json!({"email": ADA, "password": PASSWORD})).expect(201);
        let code = keystead.code_for(ADA);
        post(&acme, "/v2/auth/verify-email", &json!({"email": ADA, "code": code})).expect(200);
        keystead.advance(Duration::from_secs(60));
        for (path, name, status, rest) in [
            ("/v2/auth/login", "sign-in", 401, json!({"password": "wrong"})),
            ("/v2/auth/signup", "sign-up", 201, json!({"password": PASSWORD})),
            ("/v2/auth/verify-email", "code", 422, json!({"code": "000000"})),
            ("/v2/auth/resend-otp", "resend", 202, json!({})),
        ] {
            for address in [ADA, "nobody@example.com"] {
                let mut body = rest.clone();
                body["email"] = json!(address);
                for n in 0..3 {
                    let answer = post(&acme, path, &body);
                    assert_eq!((answer.status, numbers(&answer)), (status, [3, 2 - n, 60]), "{path}");
                    assert_eq!(answer.header("ratelimit-policy"), format!(r#""app";q=6000;w=60, "{name}";q=3;w=60"#));
                }
                body["email"] = json!(address.to_uppercase());
                let refused = post(&acme, path, &body);
                assert_eq!(retry_after(&refused), 60);
                assert_eq!(refused.problem(429), "rate_limited", "{path}");
                assert_eq!(post(&other, path, &body).status, status, "another directory");
                keystead.advance(Duration::from_secs(60));
            }
        }
    }

    fn an_end_users_address_counts_where_the_app_names_it(database: TestDatabase) {
        let keystead = limited(&database, |limits| limits.quotas.sign_in = "3/1m".parse().unwrap());
        let token = token(&keystead, &keystead.tenant("Acme"));
        let login = |n: usize, ip: &str| {
            let body = json!({"email": format!("u{n}@example.com"), "password": "wrong"});
            keystead.post("/v2/auth/login").bearer(&token).header("x-end-user-ip", ip).json(&body).send()
        };
        for n in 0..3 {
            let answer = login(n, "2001:db8::1");
            assert_eq!(answer.header("ratelimit"), format!(r#""app";r={};t=60, "sign-in-ip";r={};t=60, "sign-in";r=2;t=60"#, 5999 - n, 2 - n));
            assert_eq!(answer.problem(401), "invalid_credentials");
        }
        assert_eq!(login(3, "2001:db8::2").problem(429), "rate_limited", "the same /64");
        assert_eq!(login(4, "2001:db8:0:1::1").problem(401), "invalid_credentials");
        for nonsense in ["", "unknown", "203.0.113.7:80", "203.0.113.7, 203.0.113.8", "[::1]", "203.0.113.007", "::1%eth0"] {
            assert_eq!(login(5, nonsense).problem(400), "malformed_request", "{nonsense}");
        }
        let twice = keystead.get("/v2/apps/me").bearer(&token).header("x-end-user-ip", "::1").header("x-end-user-ip", "::1");
        assert_eq!(twice.send().problem(400), "malformed_request");
        // A stranger learns nothing from it, and nobody else is counted by it.
        let stranger = keystead.get("/v2/apps/me").bearer("nonsense").header("x-end-user-ip", "nonsense").send();
        assert_eq!(stranger.problem(401), "invalid_token");
    }

    fn whoever_asks_too_often_from_one_place_takes_nothing_from_others(database: TestDatabase) {
        let keystead = limited(&database, |limits| limits.quotas.sign_in = "3/1m".parse().unwrap());
        let token = token(&keystead, &keystead.tenant("Acme"));
        let login = |email: &str, ip: &str| {
            let body = json!({"email": email, "password": "wrong"});
            keystead.post("/v2/auth/login").bearer(&token).header("x-end-user-ip", ip).json(&body).send().status
        };
        let greedy = ["bob@example.com", "bob@example.com", ADA, ADA, ADA, ADA].map(|email| login(email, "192.0.2.1"));
        assert_eq!(greedy, [401, 401, 401, 429, 429, 429]);
        assert_eq!([0; 3].map(|_| login(ADA, "192.0.2.2")), [401, 401, 429], "one of three was used");
    }

    fn failures_slow_down_with_a_status_of_their_own(database: TestDatabase) {
        let keystead = limited(&database, |_| {});
        let token = token(&keystead, &keystead.tenant("Acme"));
        let body = json!({"email": ADA, "password": "wrong"});
        let login = || keystead.post("/v2/auth/login").bearer(&token).json(&body).send();
        for _ in 0..6 {
            assert_eq!(login().problem(401), "invalid_credentials");
        }
        let refused = login();
        assert_eq!((retry_after(&refused), numbers(&refused)), (1, [5, 0, 1]));
        assert!(refused.header("ratelimit-policy").ends_with(r#""failures";q=5;w=86400"#));
        let body = refused.expect(429);
        assert_eq!((&body["code"], &body["title"]), (&json!("rate_limited"), &json!("Too Many Requests")));
    }

    fn a_forged_header_hides_nobody(database: TestDatabase) {
        let quota = |limits: &mut RateLimits| limits.quotas.anonymous = "2/1m".parse().unwrap();
        let statuses = |keystead: &Keystead, peer: &str, header: &str, lines: &dyn Fn(usize) -> Vec<String>| {
            [0, 1, 2].map(|n| {
                let call = keystead.get("/v2/apps/me").from(peer);
                lines(n).iter().fold(call, |call: Call, line| call.header(header, line)).send().status
            })
        };
        const HIDDEN: [u16; 3] = [401; 3];
        const SEEN: [u16; 3] = [401, 401, 429];
        // Nobody is trusted: no header is read.
        let bare = limited(&database, quota);
        assert_eq!(statuses(&bare, "192.0.2.1", "x-forwarded-for", &|n| vec![format!("203.0.113.{n}")]), SEEN);

        let proxied = || limited_and(&database, quota, behind_proxies);
        let forwarded = |peer, lines: &dyn Fn(usize) -> Vec<String>| statuses(&proxied(), peer, "x-forwarded-for", lines);
        assert_eq!(forwarded("192.0.2.1", &|n| vec![format!("203.0.113.{n}")]), SEEN, "past the proxy");
        assert_eq!(forwarded("10.0.0.1", &|n| vec![format!("203.0.113.{n}, 198.51.100.1")]), SEEN, "through it");
        assert_eq!(forwarded("10.0.0.1", &|n| vec![format!("203.0.113.{n}"), "198.51.100.1, 10.0.0.2".to_owned()]), SEEN, "as a line of its own");
        assert_eq!(forwarded("10.0.0.1", &|n| vec![format!("203.0.113.{n}, nonsense")]), SEEN);
        assert_eq!(forwarded("10.0.0.1", &|n| vec![format!("203.0.113.{n}, \u{e4}")]), SEEN);
        let other = statuses(&proxied(), "10.0.0.1", "x-real-ip", &|n| vec![format!("203.0.113.{n}")]);
        assert_eq!(other, SEEN, "only one header is read");
        // What the proxy says itself counts.
        assert_eq!(forwarded("10.0.0.1", &|n| vec![format!("203.0.113.{n}")]), HIDDEN);
    }
}
