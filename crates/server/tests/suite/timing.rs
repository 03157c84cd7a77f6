//! Known and unknown addresses, asked for over HTTP: the same answers and, of as many interleaved
//! pairs as `KEYSTEAD_TEST_TIMING_PAIRS` says, medians that differ by less than 5 % or 0.5 ms,
//! whichever is larger. Without that variable a few pairs are asked for and no time is measured,
//! since other tests make the machine busy meanwhile.

#![expect(clippy::print_stderr, reason = "what was measured is worth reading")]

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use keystead_testkit::both_backends;
use serde_json::{Value, json};

use crate::process::{Host, Server, tenant_with_app, token};

const PASSWORD: &str = "correct horse battery staple";
const FEW: usize = 4;

/// How many pairs are timed, where any are.
fn timed_pairs() -> Option<usize> {
    let pairs = std::env::var("KEYSTEAD_TEST_TIMING_PAIRS").ok()?.parse().unwrap();
    (pairs > 0).then_some(pairs)
}

/// Both databases are not timed at once.
static ALONE: Mutex<()> = Mutex::new(());

/// Who is asked about. All have addresses of the same length.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// Has an account.
    User,
    /// Has one as well. An address is sent five mails an hour, so not everything is asked of the same.
    OtherUser,
    /// Has signed up and not confirmed that.
    Pending,
    /// Was never heard of.
    Stranger,
}

impl Who {
    fn address(self, n: usize) -> String {
        let name = match self {
            Self::User => "user",
            Self::OtherUser => "more",
            Self::Pending => "wait",
            Self::Stranger => "none",
        };
        format!("{name}{n:05}@example.com")
    }
}

/// Which of a pair is asked first.
#[derive(Clone, Copy, Debug)]
enum Order {
    Known,
    Unknown,
    Turns,
}

impl Order {
    const ALL: [Self; 3] = [Self::Turns, Self::Known, Self::Unknown];

    const fn known_first(self, n: usize) -> bool {
        match self {
            Self::Known => true,
            Self::Unknown => false,
            Self::Turns => n.is_multiple_of(2),
        }
    }
}

/// What is asked, of whom; and of strangers, none of whom is asked about twice.
struct Question {
    path: &'static str,
    password: Option<&'static str>,
    known: Who,
    /// The right password of a sign-up is told that it waits for its code; in the same time.
    same_answer: bool,
}

const fn ask(path: &'static str, password: Option<&'static str>, known: Who) -> Question {
    Question { path, password, known, same_answer: true }
}

const QUESTIONS: [Question; 8] = [
    ask("/v2/auth/login", Some("a wrong password"), Who::User),
    Question { same_answer: false, ..ask("/v2/auth/login", Some(PASSWORD), Who::Pending) },
    ask("/v2/auth/login", Some("a wrong password"), Who::Pending),
    ask("/v2/auth/resend-otp", None, Who::User),
    ask("/v2/auth/resend-otp", None, Who::Pending),
    ask("/v2/auth/password-reset/request", None, Who::User),
    ask("/v2/auth/password-reset/request", None, Who::Pending),
    ask("/v2/auth/signup", Some(PASSWORD), Who::OtherUser),
];

/// One connection to the server, as an app keeps it.
struct Client<'s> {
    agent: ureq::Agent,
    server: &'s Server,
    bearer: String,
}

/// What can be told apart in an answer, but for its time.
#[derive(PartialEq, Debug)]
struct Seen {
    status: u16,
    headers: Vec<String>,
    body: String,
}

impl<'s> Client<'s> {
    fn new(server: &'s Server, token: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        Self { agent, server, bearer: format!("Bearer {token}") }
    }

    fn post(&self, path: &str, body: &Value) -> (Duration, ureq::http::Response<String>) {
        let (url, body) = (format!("{}{path}", self.server.url), body.to_string());
        let request = self
            .agent
            .post(url)
            .header("authorization", &self.bearer)
            .header("content-type", "application/json");
        let start = Instant::now();
        let (parts, mut body) = request.send(body).unwrap().into_parts();
        let text = body.read_to_string().unwrap();
        (start.elapsed(), ureq::http::Response::from_parts(parts, text))
    }

    fn ask(&self, question: &Question, email: &str) -> (Duration, Seen) {
        let body = match question.password {
            Some(password) => json!({"email": email, "password": password}),
            None => json!({"email": email}),
        };
        let (time, answer) = self.post(question.path, &body);
        let headers = answer.headers().iter().filter_map(|(name, value)| {
            // These tell which request it was, when, and how much the app may still ask.
            let of_request = name.as_str().contains("ratelimit") || name == "date" || name == "x-request-id";
            (!of_request).then(|| format!("{name}: {}", value.to_str().unwrap()))
        });
        let mut seen = Seen {
            status: answer.status().as_u16(),
            headers: headers.collect(),
            body: answer.body().clone(),
        };
        seen.headers.sort();
        seen.body = seen.body.replace(email, "ADDRESS");
        if let Ok(Value::Object(body)) = serde_json::from_str(answer.body())
            && let Some(id) = body.get("user_id").and_then(Value::as_str)
        {
            seen.body = seen.body.replace(id, "ID");
        }
        (time, seen)
    }
}

/// Makes as many users of each kind as there are pairs, and as many who have not confirmed their sign-up.
fn prepare(host: &Host, client: &Client<'_>, pairs: usize) {
    let addresses = |who: Who| (0..pairs).map(move |n| who.address(n));
    let users: Vec<_> = addresses(Who::User).chain(addresses(Who::OtherUser)).collect();
    for email in users.iter().cloned().chain(addresses(Who::Pending)) {
        let (_, answer) = client.post("/v2/auth/signup", &json!({"email": email, "password": PASSWORD}));
        assert_eq!(answer.status(), 201, "{}", answer.body());
    }
    let codes = codes(host, 3 * pairs);
    for email in users {
        let (_, answer) =
            client.post("/v2/auth/verify-email", &json!({"email": email, "code": codes[&email]}));
        assert_eq!(answer.status(), 200, "{}", answer.body());
    }
}

/// The codes that were mailed, by address.
fn codes(host: &Host, count: usize) -> HashMap<String, String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mails = host.run(&["mail", "show", "--json"]).json();
        let codes: HashMap<_, _> = mails.as_array().unwrap().iter().map(code).collect();
        if codes.len() >= count {
            return codes;
        }
        assert!(Instant::now() < deadline, "{} of {count} mails", codes.len());
        thread::sleep(Duration::from_millis(50));
    }
}

fn code(mail: &Value) -> (String, String) {
    let text = mail["text"].as_str().unwrap();
    let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    (mail["to"].as_str().unwrap().to_owned(), text.split_whitespace().find(is_code).unwrap().to_owned())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Asks pairs in this order, with strangers from this one on; a line of what was measured, an error
/// if it is too much.
fn compare(
    client: &Client<'_>,
    question: &Question,
    order: Order,
    pairs: usize,
    strangers: usize,
) -> Result<String, String> {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..pairs {
        let ask_known = || client.ask(question, &question.known.address(n));
        let ask_unknown = || client.ask(question, &Who::Stranger.address(strangers + n));
        let (one, other) = if order.known_first(n) {
            let one = ask_known();
            (one, ask_unknown())
        } else {
            let other = ask_unknown();
            (ask_known(), other)
        };
        if question.same_answer {
            assert_eq!(one.1, other.1, "{}", question.path);
        } else {
            assert_eq!((one.1.status, other.1.status), (403, 401), "{:?}", one.1);
        }
        known.push(one.0);
        unknown.push(other.0);
    }
    let (known, unknown) = (median(&mut known), median(&mut unknown));
    let allowed = (known.max(unknown) / 20).max(Duration::from_micros(500));
    let line = format!(
        "{} {:?}, {order:?}: {known:?}, stranger {unknown:?}, may differ by {allowed:?}",
        question.path, question.known
    );
    if known.abs_diff(unknown) < allowed { Ok(line) } else { Err(line) }
}

both_backends! {
    fn known_and_unknown_addresses_are_alike_over_http(database: TestDatabase) {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut host = Host::new(&database);
        // An app that asks this often is slowed down by default. What counts by address is left as it is.
        host.set("KEYSTEAD_RATE_LIMITS__APP", "1000000/1m");
        let timed = timed_pairs();
        if timed.is_some() {
            // What passwords cost by default.
            host.set("KEYSTEAD_PASSWORD__MEMORY_KIB", "19456");
            host.set("KEYSTEAD_PASSWORD__ITERATIONS", "2");
        }
        let pairs = timed.unwrap_or(FEW);
        let app = tenant_with_app(&host, "acme");
        let server = host.serve(&[]);
        let client = Client::new(&server, &token(&server, &app));
        prepare(&host, &client, pairs);
        let mut too_far = Vec::new();
        for (at, question) in QUESTIONS.iter().enumerate() {
            for (turn, order) in Order::ALL.into_iter().enumerate() {
                let strangers = (at * Order::ALL.len() + turn) * pairs;
                let compared = compare(&client, question, order, pairs, strangers);
                if timed.is_some() {
                    eprintln!("{compared:?}");
                    too_far.extend(compared.err());
                }
            }
        }
        assert!(too_far.is_empty(), "{too_far:#?}");
    }
}
