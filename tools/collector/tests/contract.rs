//! The interface is what its description says: each operation, its parameters at their extremes and at random, its callers, its
//! answers and its errors.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use sentinel_collector::api::description;
use sentinel_collector::model::{Loopback, Role};
use sentinel_collector::run::{CollectorSettings, RunningCollector};
use sentinel_collector::service::{
    Answer, Declaration, Method, Needs, OPERATIONS, Operation, Parameter, Place, Shape,
};
use serde_json::{Value, json};
use support::description::{GOLDEN, differences, object};
use support::http::get_json;
use support::sensor::{SensorClient, connected, enrolled};
use support::{WAIT_TIMEOUT, eventually, settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PASSWORD: &str = "correct horse battery";

/// A collector whose clients on this machine may do everything, with a sensor, its incidents, a user and a key.
async fn started(directory: &Path) -> (RunningCollector, SensorClient) {
    let loopback = Loopback::Role(Role::Admin);
    let settings = CollectorSettings { loopback, ..settings(directory, 100) };
    let collector = RunningCollector::start(settings).await.unwrap();
    let http = collector.http;
    let (pair, key) = enrolled(directory, collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_messages(1, 1..=7).await;
    peer.until_acked(last).await;
    eventually("the incidents", || async { get_json(http, "/api/v1/incidents/3").await.0 == 200 }).await;
    for (path, body) in [
        ("users", json!({ "name": "anna", "password": PASSWORD, "role": "admin", "groups": null })),
        ("keys", json!({ "name": "eye", "role": "viewer", "groups": ["wien"], "expires": "7d" })),
    ] {
        let made = send(http, "POST", &format!("/api/v1/{path}"), "", &body.to_string()).await;
        assert_eq!(made.0, 201, "{made:?}");
    }
    (collector, peer)
}

/// Status, header and body of a request of a page of this collector.
async fn send(
    http: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String, String) {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {http}\r\nOrigin: http://{http}\r\n{length}{headers}\r\n{body}"
    );
    let mut stream = TcpStream::connect(http).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_end(&mut answer));
    read.await.unwrap_or_else(|_| panic!("no answer to {method} {path}")).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// The header with the cookie of a new log-in of `anna`.
async fn log_in(http: SocketAddr) -> String {
    let body = json!({ "name": "anna", "password": PASSWORD }).to_string();
    let (status, head, body) = send(http, "POST", "/api/v1/login", "", &body).await;
    assert_eq!(status, 200, "{body}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: __Host-sentinel=")).unwrap();
    format!("Cookie: __Host-sentinel={}\r\n", cookie.split(';').next().unwrap())
}

#[test]
fn the_description_is_the_golden_file() {
    let text = format!("{}\n", serde_json::to_string_pretty(&description()).unwrap());
    if std::env::var_os("GOLDEN_BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    assert!(golden == text, "openapi.json differs from the operations: see `git diff` after GOLDEN_BLESS=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_the_operations_that_are_served_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = started(directory.path()).await;
    let http = collector.http;
    let (status, description) = get_json(http, "/api/v1/openapi.json").await;
    assert_eq!((status, &description), (200, &sentinel_collector::api::description()));
    let paths = description["paths"].as_object().unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in paths {
        let methods = methods.as_object().unwrap();
        described.extend(methods.values().map(|one| one["operationId"].as_str().unwrap().to_owned()));
        // Of an object that does not exist: nothing is changed.
        let place = path.replace("{id}", "4711").replace("{name}", "nobody").replace("{sensor}", "nothing");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"] {
            let of = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
            if methods.contains_key(&of) && place.ends_with("/events") {
                continue; // has no end
            }
            let (status, _, body) = send(http, method, &place, "", "").await;
            assert_eq!(status != 405, methods.contains_key(&of), "{method} {place}: {status} {body}");
            if status == 405 && method != "HEAD" {
                let answer = problem(&description, &body);
                let allowed: BTreeSet<String> = answer["allowed"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|method| method.as_str().unwrap().to_lowercase())
                    .collect();
                assert_eq!(allowed, methods.keys().cloned().collect(), "{method} {place}");
            }
        }
    }
    assert_eq!(described, OPERATIONS.iter().map(|declared| declared.name.to_owned()).collect());
    for path in ["/api/v1", "/api/v1/", "/api/v1/alert", "/api/v2/alerts", "/nothing", "/api/v1/alerts/1"] {
        for method in ["GET", "POST", "DELETE"] {
            let (status, _, body) = send(http, method, path, "", "").await;
            let answer = problem(&description, &body);
            assert_eq!((status, &answer["code"]), (404, &"path".into()), "{method} {path}");
            assert!(!answer["allowed"].as_array().unwrap().is_empty());
        }
    }
    collector.stop().await;
}

/// The error `body`, which has to be as it is described.
fn problem(description: &Value, body: &str) -> Value {
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let found = differences(description, &object(description, "Problem"), &answer, "");
    assert!(found.is_empty(), "{found:?} in {body}");
    assert!(answer["allowed"].as_array().is_none_or(|allowed| allowed.len() <= 20), "{body}");
    assert_eq!(answer["request"].as_str().unwrap().len(), 16, "{body}");
    assert!(!answer["error"].as_str().unwrap().is_empty() && !answer["code"].as_str().unwrap().is_empty());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_members_that_are_described() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = started(directory.path()).await;
    let http = collector.http;
    let description = description();
    let mut seen = BTreeSet::new();
    for declared in OPERATIONS.iter().filter(|declared| declared.needs != Needs::User) {
        let (Answer::Object(name) | Answer::CreatedObject(name)) = declared.answer else { continue };
        if declared.operation == Operation::SetAdministrator {
            continue; // takes a code; has the answer of a log-in
        }
        let (path, body) = sample(declared, None);
        let path = path.replace("/users/x/", "/users/anna/");
        let (status, _, body) = send(http, declared.method.name(), &path, "", &body).await;
        assert_eq!(status, declared.answer.status(), "{}: {body}", declared.name);
        let answer: Value = serde_json::from_str(&body).unwrap();
        let found = differences(&description, &object(&description, name), &answer, name);
        assert!(found.is_empty(), "{}: {found:#?}", declared.name);
        seen.insert(name);
    }
    assert!(seen.len() >= 15, "{seen:?}");
    collector.stop().await;
}

/// Path and body of a request with each required parameter, and one more, `given` as it stands in a URL or as JSON.
fn sample(declared: &Declaration, given: Option<(&Parameter, &str)>) -> (String, String) {
    let mut path = declared.path.to_owned();
    let (mut query, mut body) = (Vec::new(), Vec::new());
    for one in declared.parameters {
        let given = given.filter(|(other, _)| (other.name, other.place) == (one.name, one.place));
        if given.is_none() && !one.is_required {
            continue;
        }
        let value = given.map_or_else(|| usual(one), |(_, value)| value.to_owned());
        match one.place {
            Place::Path => path = path.replace(&format!("{{{}}}", one.name), &value),
            Place::Query => query.push(format!("{}={value}", one.name)),
            Place::Body => body.push(format!("\"{}\":{value}", one.name)),
            Place::Header => {}
        }
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let body = if body.is_empty() { String::new() } else { format!("{{{}}}", body.join(",")) };
    // A change of nothing is refused.
    let is_change = matches!(declared.operation, Operation::ChangeIncident | Operation::ChangeIncidents);
    if is_change && given.is_none() {
        let seen = "\"state\":\"seen\"";
        let body = if body.is_empty() {
            format!("{{{seen}}}")
        } else {
            body.replacen('{', &format!("{{{seen},"), 1)
        };
        return (path, body);
    }
    (path, body)
}

/// A value that a parameter may have, as it stands in a URL or as JSON.
fn usual(one: &Parameter) -> String {
    let value = match (one.name, one.shape) {
        ("address", _) => json!("127.0.0.1:4477"),
        ("password" | "new_password", _) => json!(PASSWORD),
        ("name", _) if one.place == Place::Body => json!("anna"),
        ("sensor", _) => json!("branch-7"),
        (_, Shape::Choice(all) | Shape::Choices(all)) => json!(all()[0]),
        (_, Shape::Number { least, .. }) => json!(least),
        (_, Shape::Names(..)) => json!(["wien"]),
        (_, Shape::Rows(_)) => json!([1]),
        (_, Shape::Flag) => json!(false),
        (_, Shape::Span(_)) => json!("24h"),
        _ => json!("x"),
    };
    match one.place {
        Place::Body => value.to_string(),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// Texts at the edges of what parameters may be.
fn extremes() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        "0",
        "-0",
        "-1",
        "+1",
        "1.5",
        "1e3",
        "0x10",
        "00000000000000000000000000000001",
        "65535",
        "65536",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999",
        "99999999999999999999s",
        "18446744073709551615d",
        "213503982334601d",
        "0s",
        "9999-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "2500-12-31T23:59:59.999999999Z",
        "NaN",
        "inf",
        "null",
        "true",
        "[]",
        "{}",
        ",",
        ",,,,",
        "port_scan,",
        "\0",
        "%",
        "\u{1f600}",
        "\u{202e}",
        "\u{7f}",
        "' OR 1=1--",
        "\"<script>",
        "../../etc/passwd",
        "\r\nX: y",
        "0-811c9dc5",
        "ffffffffffffffff-00000000",
        "192.0.2.0/33",
        "::/0",
        "0.0.0.0/0",
        "*",
        "\"1\"",
        "W/\"1\"",
    ]
    .map(str::to_owned)
    .to_vec();
    values.extend(["9".repeat(4_000), "a".repeat(8_000), "port_scan,".repeat(700)]);
    values
}

/// Texts of a generator with this seed (xorshift64*, Vigna 2016), of letters that parsers look at.
fn random_texts(seed: u64, count: usize) -> Vec<String> {
    const LETTERS: &[char] = &[
        '0',
        '1',
        '9',
        'a',
        'z',
        'T',
        'Z',
        ':',
        '-',
        '+',
        '.',
        ',',
        '/',
        '_',
        ' ',
        '%',
        '&',
        '=',
        '"',
        '\\',
        '\'',
        '{',
        '}',
        '[',
        ']',
        '\0',
        '\n',
        '\u{e9}',
        '\u{4e2d}',
        '\u{1f600}',
        's',
        'd',
    ];
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40).unwrap()
    };
    (0..count).map(|_| (0..next() % 40).map(|_| LETTERS[next() % LETTERS.len()]).collect()).collect()
}

/// Values of JSON that are no texts.
const OTHER_JSON: [&str; 12] = [
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e400",
    "9223372036854775808",
    "[]",
    "{}",
    "[1,\"a\",null]",
    "[[[[]]]]",
    "{\"a\":{\"b\":[]}}",
];

fn encoded(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes()
        .map(|byte| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Checks the answer to one request: done, or an error of the client that is as it is described, and short.
fn check(description: &Value, (status, head, body): &(u16, String, String), what: &str) -> bool {
    let what: String = what.chars().take(160).collect();
    if (200..300).contains(status) {
        return true;
    }
    if [414, 431].contains(status) && body.is_empty() {
        return false; // of hyper: the address or the header is too long to be read
    }
    assert!((400..500).contains(status), "{what}: {status} {body}");
    assert!(!body.is_empty(), "{what}: {status}");
    let answer = problem(description, body);
    let has_allowed = answer["allowed"].as_array().is_some_and(|allowed| !allowed.is_empty());
    let has_none_here = answer["code"] == "unknown" && answer["error"].as_str().unwrap().ends_with("here");
    assert!(*status != 400 || has_allowed || has_none_here, "{what}: {body}");
    assert!(*status != 429 || head.contains("retry-after: "), "{what}: {head}");
    assert!(body.len() < 8_192, "{what}: the answer repeats the request: {} bytes", body.len());
    assert!(!body.contains(PASSWORD), "{what}: {body}");
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn every_parameter_at_its_extremes_and_at_random_is_an_error_of_the_client_or_done() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = started(directory.path()).await;
    let (http, description) = (collector.http, description());
    let (mut done, mut refused) = (0, 0);
    // Before wrong passwords close the account, and the end of every log-in after all else.
    let cookie = log_in(http).await;
    let is_last = |declared: &&Declaration| declared.operation == Operation::LogOut;
    let last = OPERATIONS.iter().filter(is_last);
    for (index, declared) in OPERATIONS.iter().filter(|one| !is_last(one)).chain(last).enumerate() {
        let cookie = if declared.needs == Needs::User { cookie.as_str() } else { "" };
        let unknown = Parameter { name: "unknown", place: Place::Query, ..parameter(declared, "limit") };
        for one in declared.all_parameters().chain([unknown]) {
            let seed = 4_711 + u64::try_from(index).unwrap();
            let mut texts: Vec<String> = extremes();
            texts.extend(random_texts(seed, 30));
            let mut given: Vec<String> = match one.place {
                Place::Body => texts.iter().map(|text| json!(text).to_string()).collect(),
                Place::Query | Place::Path => texts.iter().map(|text| encoded(text)).collect(),
                Place::Header => texts.into_iter().filter(|text| !text.contains(char::is_control)).collect(),
            };
            match one.place {
                Place::Body => given.extend(OTHER_JSON.map(str::to_owned)),
                Place::Query | Place::Path => {
                    given.extend(["%FF%FE", "%C3%28", "%", "%zz"].map(str::to_owned));
                }
                Place::Header => {}
            }
            for value in given {
                let answer = ask(http, declared, &one, &value, cookie).await;
                let what = format!("{} {}={value}", declared.name, one.name);
                if check(&description, &answer, &what) { done += 1 } else { refused += 1 }
            }
        }
        for query in ["?", "?&&&", "?=", "?%", "?%FF%FE=%FF", "?a[]=1&a[0]=2", "?limit=1&limit=1&%FF=1"] {
            if declared.operation != Operation::Subscribe {
                let path = format!("{}{query}", sample(declared, None).0);
                check(&description, &send(http, declared.method.name(), &path, cookie, "").await, &path);
            }
        }
    }
    // Both happen: a test that is only refused would pass as well.
    assert!(done > 300 && refused > 3_000, "{done} done, {refused} refused");
    assert_eq!(get_json(http, "/health").await.0, 200);
    collector.stop().await;
}

/// Any parameter, as a pattern.
fn parameter(declared: &Declaration, name: &str) -> Parameter {
    let all = OPERATIONS.iter().flat_map(|one| one.parameters.iter().copied());
    let own = declared.parameters.iter().copied();
    own.chain(all).find(|one| one.name == name).unwrap()
}

/// Asks for an operation with one parameter as `value`.
async fn ask(
    http: SocketAddr,
    declared: &Declaration,
    one: &Parameter,
    value: &str,
    cookie: &str,
) -> (u16, String, String) {
    let (mut path, body) = sample(declared, Some((one, value)));
    if one.name == "unknown" {
        path = format!("{path}{}unknown={value}", if path.contains('?') { '&' } else { '?' });
    }
    let header =
        if one.place == Place::Header { format!("{}: {value}\r\n", one.name) } else { String::new() };
    let headers = format!("{header}{cookie}");
    if declared.operation != Operation::Subscribe {
        return send(http, declared.method.name(), &path, &headers, &body).await;
    }
    // An event stream has no end: its header first, and its body only if there is one.
    let answer = send(http, "HEAD", &path, &headers, "").await;
    if answer.0 == 200 { answer } else { send(http, "GET", &path, &headers, "").await }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_none_are_errors_of_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = started(directory.path()).await;
    let (http, description) = (collector.http, description());
    let cookie = log_in(http).await;
    let long = format!("{{\"note\":\"{}\"}}", "n".repeat(70_000));
    for declared in OPERATIONS.iter().filter(|declared| declared.method != Method::Get) {
        let path =
            declared.path.replace("{id}", "1").replace("{name}", "nobody").replace("{sensor}", "nothing");
        for (body, expected) in [
            ("[]", 400),
            ("{", 400),
            ("7", 400),
            ("\"x\"", 400),
            ("\0", 400),
            ("{\"unknown\":1}", 400),
            (&"[".repeat(20_000), 400),
            (&long, 413),
        ] {
            let answer = send(http, declared.method.name(), &path, &cookie, body).await;
            check(&description, &answer, declared.name);
            assert_eq!(answer.0, expected, "{}: {:.40}: {answer:?}", declared.name, body);
        }
        let form = format!("{cookie}Content-Type: application/x-www-form-urlencoded\r\n");
        let answer = send(http, declared.method.name(), &path, &form, "a=b").await;
        check(&description, &answer, declared.name);
        assert_eq!(answer.0, 400, "{}: {answer:?}", declared.name);
    }
    for declared in OPERATIONS.iter().filter(|declared| declared.method == Method::Get) {
        let (path, _) = sample(declared, None);
        let answer = send(http, "GET", &path, "", "{}").await;
        check(&description, &answer, declared.name);
        assert_eq!(answer.0, 413, "{}: {answer:?}", declared.name);
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_done_once() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = started(directory.path()).await;
    let http = collector.http;
    let path = "/api/v1/tokens";
    let body = json!({ "name": "branch-8", "address": "127.0.0.1:4477" }).to_string();
    let key = |name: &str| format!("Idempotency-Key: {name}\r\n");
    let first = send(http, "POST", path, &key("a"), &body).await;
    assert_eq!(first.0, 201, "{first:?}");
    let again = send(http, "POST", path, &key("a"), &body).await;
    assert_eq!((again.0, &again.2), (201, &first.2), "the same token");
    let other = send(http, "POST", path, &key("b"), &body).await;
    assert!(other.0 != 201 || other.2 != first.2, "another key is another request");
    let changed = body.replace("branch-8", "branch-9");
    let (status, _, text) = send(http, "POST", path, &key("a"), &changed).await;
    assert_eq!((status, &problem(&description(), &text)["code"]), (409, &"key_used".into()));
    // Every POST takes it: of two log-ins at the same time, one is done.
    for declared in OPERATIONS.iter().filter(|declared| declared.method == Method::Post) {
        assert!(declared.all_parameters().any(|one| one.name == "Idempotency-Key"), "{}", declared.name);
    }
    let body = json!({ "name": "anna", "password": PASSWORD }).to_string();
    let (own, free) = (key("c"), String::new());
    let mut cookies = BTreeSet::new();
    for headers in [&own, &own, &free] {
        let (status, head, text) = send(http, "POST", "/api/v1/login", headers, &body).await;
        assert_eq!(status, 200, "{text}");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: __Host-sentinel=")).unwrap();
        cookies.insert(cookie.to_owned());
    }
    assert_eq!(cookies.len(), 2, "the repeated one is the same log-in");
    collector.stop().await;
}
