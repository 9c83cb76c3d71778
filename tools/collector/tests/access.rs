//! Access and its refusals: TLS, first start, log-in, keys, roles, groups, audit.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use sentinel_collector::access::totp;
use sentinel_collector::model::{Loopback, Role};
use sentinel_collector::run::{CollectorSettings, RunningCollector};
use sentinel_collector::service::{Needs, OPERATIONS};
use serde_json::{Value, json};
use support::http::get;
use support::sensor::{SensorClient, connected, enrolled};
use support::tls::{Client, DEVICE, PASSWORD, SESSION, set_up, start_set_up};
use support::{eventually, files, settings};

/// A collector after its first start: its client, and the cookie of the administrator `anna`.
async fn started(directory: &Path) -> (RunningCollector, Client, String) {
    let secrets = set_up(directory);
    let collector = start_set_up(directory).await;
    let client = Client::new(directory, collector.http);
    let cookie = client.administrator(&secrets.code).await;
    (collector, client, cookie)
}

/// Makes a key and returns it.
async fn key(client: &Client, cookie: &str, name: &str, role: &str, groups: Value) -> String {
    let body = json!({ "name": name, "role": role, "groups": groups }).to_string();
    let answer = client.change("POST", "/api/v1/keys", cookie, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["key"].as_str().unwrap().to_owned()
}

async fn status(client: &Client, path: &str, header: &str) -> u16 {
    client.get(path, &[header]).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_comes_in_by_the_code_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let secrets = set_up(directory.path());
    let collector = start_set_up(directory.path()).await;
    let client = Client::new(directory.path(), collector.http);
    assert!(client.get("/", &[]).await.head.contains("location: /start"));
    let set = |code: String, name: &str, password: &str| {
        let body = json!({ "code": code, "name": name, "password": password }).to_string();
        let client = client.clone();
        async move { client.change("POST", "/api/v1/administrator", "", &body).await }
    };
    let wrong = set("00000-00000-00000-00000".into(), "anna", PASSWORD).await;
    assert_eq!((wrong.status, &wrong.json()["code"]), (401, &"wrong".into()));
    let weak = set(secrets.code.clone(), "anna", "short").await;
    assert_eq!((weak.status, &weak.json()["parameter"]), (400, &"password".into()));
    let name = set(secrets.code.clone(), "a b", PASSWORD).await;
    assert_eq!((name.status, &name.json()["parameter"]), (400, &"name".into()));
    // As it is typed.
    let right = set(secrets.code.to_lowercase().replace('-', " "), "anna", PASSWORD).await;
    assert_eq!(right.status, 200, "{right:?}");
    for (cookie, age) in [(SESSION, "43200"), (DEVICE, "15552000")] {
        let line = right.head.lines().find(|line| line.contains(&format!("{cookie}="))).unwrap();
        for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict", &format!("; Max-Age={age}")] {
            assert!(line.contains(part), "{line}");
        }
    }
    assert_eq!(set(secrets.code, "eve", PASSWORD).await.status, 401, "a code is used once");
    assert!(client.get("/", &[]).await.head.contains("location: /login"));
    let me = client.get("/api/v1/me", &[&format!("Cookie: {}", right.cookie(SESSION))]).await.json();
    assert_eq!((&me["user"], &me["role"], &me["groups"]), (&"anna".into(), &"admin".into(), &Value::Null));
    collector.stop().await;
    let collector = start_set_up(directory.path()).await;
    assert!(!directory.path().join("administrator.code").exists(), "it has been used");
    let cookie = format!("Cookie: {}", right.cookie(SESSION));
    let client = Client::new(directory.path(), collector.http);
    assert_eq!(status(&client, "/api/v1/alerts", &cookie).await, 200, "a log-in survives a restart");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_log_in_nothing_is_shown_but_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, _) = started(directory.path()).await;
    let health = client.get("/health", &[]).await;
    assert_eq!((health.status, health.json()), (200, json!({ "status": "ok" })));
    let local = Client { host: "localhost", ..client.clone() };
    assert_eq!(local.get("/api/v1/alerts", &[]).await.status, 401, "loopback too, after `init`");
    assert_eq!(
        (local.get("/metrics", &[]).await.status, client.get("/metrics", &[]).await.status),
        (200, 401)
    );
    assert_eq!(
        status(&local, "/metrics", "X-Forwarded-For: 192.0.2.1").await,
        401,
        "a proxy speaks for another one"
    );
    for wrong in ["", "x", &"A".repeat(43), "%00", "\"quoted\""] {
        let cookie = format!("Cookie: {SESSION}={wrong}");
        let answer = client.get("/api/v1/alerts", &[&cookie]).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &"log_in".into()), "{wrong}");
        let answer = client.get("/health", &[&format!("X-API-Key: {wrong}")]).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &"key".into()), "{wrong}");
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_worth_nothing_after_the_log_out() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    let second = client.log_in("Anna", PASSWORD, "").await.cookie(SESSION);
    let third = client.log_in("anna", PASSWORD, "").await.cookie(SESSION);
    let reads = |cookie: &str| {
        let (client, cookie) = (client.clone(), format!("Cookie: {cookie}"));
        async move { status(&client, "/api/v1/stats", &cookie).await }
    };
    let out = client.change("POST", "/api/v1/logout", &second, "").await;
    assert_eq!(out.status, 204);
    assert!(
        out.head.contains(&format!("set-cookie: {SESSION}=; ")) && out.head.contains("Max-Age=0"),
        "{out:?}"
    );
    assert_eq!((reads(&second).await, reads(&third).await, reads(&cookie).await), (401, 200, 200));
    // A stream that is open ends with its log-in.
    let mut stream = client.connect(support::tls::ALL_VERSIONS, &["http/1.1"]).await.unwrap();
    let text = format!("GET /api/v1/events HTTP/1.0\r\nHost: {}\r\nCookie: {third}\r\n\r\n", client.host);
    tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
    let all = client.change("POST", "/api/v1/logout", &cookie, "{\"all\":true}").await;
    assert_eq!(all.status, 204);
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the stream goes on").unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 200"));
    assert_eq!((reads(&third).await, reads(&cookie).await), (401, 401));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    let body = json!({ "name": "k", "role": "admin", "groups": null }).to_string();
    let (cookie, own) = (format!("Cookie: {cookie}"), client.origin());
    for headers in [
        &[][..],
        &["Origin: https://evil.example"],
        &["Origin: null"],
        &["Origin: http://collector.example"],
        &["Origin: https://collector.example.evil.example"],
        &[&own, "Sec-Fetch-Site: same-site"],
        &[&own, "Sec-Fetch-Site: cross-site"],
    ] {
        let headers: Vec<&str> = headers.iter().copied().chain([&*cookie]).collect();
        let answer = client.send("POST", "/api/v1/keys", &headers, &body).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(answer.body.contains("Origin: https://collector.example"), "{answer:?}");
    }
    let answer =
        client.send("POST", "/api/v1/keys", &[&own, "Sec-Fetch-Site: same-origin", &cookie], &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    // A program that has a key is no browser.
    let key = answer.json()["key"].as_str().unwrap().to_owned();
    let removed = client.send("DELETE", "/api/v1/keys/k", &[&format!("X-API-Key: {key}")], "").await;
    assert_eq!(removed.status, 204);
    assert_eq!(
        status(&client, "/api/v1/stats", &format!("X-API-Key: {key}")).await,
        401,
        "it removed itself"
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_and_does_not_keep_the_owner_out() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, _) = started(directory.path()).await;
    let opened = client.log_in("anna", PASSWORD, "").await;
    let device = opened.cookie(DEVICE);
    for name in ["anna", "nobody"] {
        let from =
            |last| Client { from: [127, 0, if name == "anna" { 1 } else { 2 }, last], ..client.clone() };
        for last in 1..=5 {
            let answer = from(last).log_in(name, "a wrong password", "").await;
            let shown = (answer.status, answer.json()["code"].clone(), answer.json()["error"].clone());
            assert_eq!(shown, (401, "wrong".into(), "name, password or code is wrong".into()), "{name}");
        }
        // A name that does not exist is closed as well.
        let closed = from(6).log_in(name, PASSWORD, "").await;
        assert_eq!(closed.status, 429, "{name}: {closed:?}");
        assert!(closed.head.to_lowercase().contains("retry-after: "), "{closed:?}");
    }
    let stranger = Client { from: [127, 0, 3, 1], ..client.clone() };
    assert_eq!(stranger.log_in("anna", PASSWORD, "").await.status, 429);
    let forged = device.replacen("=1.", "=2.", 1);
    assert_eq!(stranger.log_in("anna", PASSWORD, &forged).await.status, 429);
    assert_eq!(stranger.log_in("anna", PASSWORD, &device).await.status, 200, "her browser");
    let local = Client { host: "localhost", from: [127, 0, 3, 2], ..client.clone() };
    assert_eq!(local.log_in("anna", PASSWORD, "").await.status, 200, "the machine itself");
    // One address, many names.
    let one = Client { from: [127, 0, 4, 1], ..client.clone() };
    for number in 0..5 {
        assert_eq!(one.log_in(&format!("user{number}"), "a wrong password", "").await.status, 401);
    }
    assert_eq!(one.log_in("user9", "a wrong password", "").await.status, 429);
    // There too a one-time code is taken, until five codes were wrong.
    let code = |code: &'static str| {
        let body = json!({ "code": code, "name": "anna", "password": PASSWORD }).to_string();
        let one = one.clone();
        async move { one.change("POST", "/api/v1/administrator", "", &body).await.status }
    };
    for _ in 0..5 {
        assert_eq!(code("00000-00000-00000-00000").await, 401);
    }
    assert_eq!(code("00000-00000-00000-00000").await, 429);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_at_the_same_time_are_counted_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, _) = started(directory.path()).await;
    let attempts: Vec<_> = (0..20_u8)
        .map(|number| {
            let client = Client { from: [127, 0, 5, number + 1], ..client.clone() };
            tokio::spawn(async move { client.log_in("anna", "a wrong password", "").await.status })
        })
        .collect();
    let mut tried = 0;
    for attempt in attempts {
        tried += usize::from(attempt.await.unwrap() == 401);
    }
    assert!(tried <= 5, "{tried} passwords were tried at once");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_codes_are_needed_once_set_up_and_taken_once() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    let set = |body: Value| {
        let (client, cookie) = (client.clone(), cookie.clone());
        async move { client.change("POST", "/api/v1/me/totp", &cookie, &body.to_string()).await }
    };
    let wrong = set(json!({ "password": "a wrong password" })).await;
    assert_eq!((wrong.status, &wrong.json()["code"]), (403, &"password".into()));
    let offered = set(json!({ "password": PASSWORD })).await;
    let secret = unbase32(offered.json()["secret"].as_str().unwrap());
    assert_eq!(client.log_in("anna", PASSWORD, "").await.status, 200, "not in force yet");
    assert_eq!(set(json!({ "password": PASSWORD, "code": "000000" })).await.status, 403);
    let code = totp::present(&secret, sentinel_collector::clock::now());
    assert_eq!(set(json!({ "password": PASSWORD, "code": code })).await.status, 204);
    let needed = client.log_in("anna", PASSWORD, "").await;
    assert_eq!((needed.status, &needed.json()["code"]), (401, &"code_needed".into()));
    let with = |code: String| {
        let body = json!({ "name": "anna", "password": PASSWORD, "code": code }).to_string();
        let client = client.clone();
        async move { client.change("POST", "/api/v1/login", "", &body).await.status }
    };
    assert_eq!(with(code).await, 401, "the code that set it up is used");
    let next = sentinel_collector::clock::now().after(Duration::from_secs(30));
    let code = totp::present(&secret, next);
    assert_eq!(with(code.clone()).await, 200);
    assert_eq!(with(code).await, 401, "replayed");
    let users = client.get("/api/v1/users", &[&format!("Cookie: {cookie}")]).await;
    assert!(!users.body.contains("secret") && !users.body.contains("argon2"), "{users:?}");
    assert_eq!(users.json()["users"][0]["totp"], true);
    collector.stop().await;
}

fn unbase32(text: &str) -> Vec<u8> {
    let digit = |char: char| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(char).unwrap();
    let bits: String = text.chars().map(|char| format!("{:05b}", digit(char))).collect();
    bits.as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

/// Two sensors with three alerts each; the second is in the group `wien`.
async fn two_sensors(directory: &Path, collector: &RunningCollector) -> (SensorClient, SensorClient) {
    let mut clients = Vec::new();
    for name in ["lyon-1", "wien-1"] {
        let (pair, key) = enrolled(directory, collector.listen, name).await;
        let (mut sensor, _) = connected(collector.listen, &pair, &key, 1).await;
        let last = sensor.send_alerts(1, 1..=3).await;
        sensor.until_acked(last).await;
        clients.push(sensor);
    }
    let second = clients.pop().unwrap();
    (clients.pop().unwrap(), second)
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_of_foreign_groups_do_not_exist_and_are_in_no_count() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    let (mut lyon, mut wien) = two_sensors(directory.path(), &collector).await;
    let set = client.change("PATCH", "/api/v1/sensors/wien-1", &cookie, "{\"groups\":[\"wien\"]}").await;
    assert_eq!(set.status, 204, "{set:?}");
    let limited = key(&client, &cookie, "limited", "admin", json!(["wien"])).await;
    let header = format!("X-API-Key: {limited}");
    let read = |path: &str| {
        let (client, header, path) = (client.clone(), header.clone(), path.to_owned());
        async move { client.get(&path, &[&header]).await }
    };
    let alerts = read("/api/v1/alerts").await.json();
    let names: Vec<&str> =
        alerts["alerts"].as_array().unwrap().iter().map(|alert| alert["sensor"].as_str().unwrap()).collect();
    assert_eq!(names, ["wien-1"; 3]);
    let sensors = read("/api/v1/sensors").await;
    assert!(sensors.body.contains("wien-1") && !sensors.body.contains("lyon-1"), "{sensors:?}");
    let stats = read("/api/v1/stats").await.json();
    assert_eq!(
        (&stats["alerts"]["stored"], &stats["sensors"]["enrolled"], &stats["sensors"]["connected"]),
        (&3.into(), &1.into(), &1.into())
    );
    // One that exists is told from one that does not by nothing.
    let foreign = read("/api/v1/alerts?sensor=lyon-1").await;
    let unknown = read("/api/v1/alerts?sensor=lyon-2").await;
    let shown = |answer: &support::tls::Answer| {
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("request"); // each answer has another one
        body.to_string().replace("lyon-1", "lyon-2")
    };
    assert_eq!((foreign.status, shown(&foreign)), (unknown.status, shown(&unknown)));
    assert_eq!((read("/metrics").await.status, read("/api/v1/users").await.status), (403, 403));
    foreign_incidents(&client, &cookie, &header).await;
    // Events.
    let mut stream = client.connect(support::tls::ALL_VERSIONS, &["http/1.1"]).await.unwrap();
    let text = format!("GET /api/v1/events?recent=10 HTTP/1.0\r\nHost: {}\r\n{header}\r\n\r\n", client.host);
    tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
    for sensor in [&mut lyon, &mut wien] {
        let last = sensor.send_alerts(1, 4..=4).await;
        sensor.until_acked(last).await;
    }
    let mut events = String::new();
    while events.matches("event: alert").count() < 4 {
        let mut buffer = [0; 4_096];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer);
        let count = tokio::time::timeout(support::WAIT_TIMEOUT, read).await.expect("no event").unwrap();
        events.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    assert!(!events.contains("lyon-1"), "{events}");
    // Out of the group, the sensor is gone at once, for the stream as well.
    client.change("PATCH", "/api/v1/sensors/wien-1", &cookie, "{\"groups\":[]}").await;
    assert_eq!(read("/api/v1/alerts").await.json()["alerts"], json!([]));
    collector.stop().await;
}

/// Incidents of the sensor `lyon-1` do not exist for the account of `header`, which sees `wien-1`.
async fn foreign_incidents(client: &Client, cookie: &str, header: &str) {
    let own = format!("Cookie: {cookie}");
    let both = || async {
        let all = client.get("/api/v1/incidents", &[&own]).await.json();
        let of = |name: &str| {
            let incidents = all["incidents"].as_array().unwrap();
            incidents
                .iter()
                .find(|incident| incident["sensor"] == name)
                .map(|incident| incident["id"].to_string())
        };
        of("lyon-1").zip(of("wien-1"))
    };
    eventually("both have incidents", || async { both().await.is_some() }).await;
    let (foreign, seen) = both().await.unwrap();
    let listed = client.get("/api/v1/incidents", &[header]).await;
    assert!(listed.body.contains("wien-1") && !listed.body.contains("lyon-1"), "{listed:?}");
    for path in ["", "/messages"] {
        let of = |id: &str| format!("/api/v1/incidents/{id}{path}");
        let statuses =
            (status(client, &of(&seen), header).await, status(client, &of(&foreign), header).await);
        assert_eq!(statuses, (200, 404), "{path}");
    }
    let json = "Content-Type: application/json";
    let body = "{\"state\":\"seen\",\"note\":\"mine\"}";
    let path = format!("/api/v1/incidents/{foreign}");
    assert_eq!(client.send("PATCH", &path, &[header, json], body).await.status, 404);
    let body = format!("{{\"ids\":[{foreign},{seen}],\"state\":\"seen\"}}");
    let changed = client.send("POST", "/api/v1/incidents/actions", &[header, json], &body).await.json();
    assert_eq!(
        (changed["changed"].to_string(), changed["missing"].to_string()),
        (format!("[{seen}]"), format!("[{foreign}]"))
    );
    assert_eq!(client.get(&path, &[&own]).await.json()["state"], "new");
    let audit = client.get("/api/v1/audit?limit=1", &[&own]).await.json();
    assert_eq!(
        (&audit["audit"][0]["what"], &audit["audit"][0]["who"]),
        (&"change_incidents".into(), &"key limited".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_is_for_those_whom_its_declaration_names() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    let mut headers = vec![("nobody", None, String::from("X-Nothing: 0"))];
    for role in Role::ALL {
        let key = key(&client, &cookie, role.name(), role.name(), Value::Null).await;
        headers.push((role.name(), Some(role), format!("X-API-Key: {key}")));
    }
    let limited = key(&client, &cookie, "limited", "admin", json!(["wien"])).await;
    headers.push(("limited admin", Some(Role::Admin), format!("X-API-Key: {limited}")));
    for declared in OPERATIONS {
        for (who, level, header) in &headers {
            let is_limited = *who == "limited admin";
            let expected = match declared.needs {
                Needs::Nothing => true,
                Needs::LocalOrEverySensor => level.is_some() && !is_limited,
                Needs::Role(role) => level.is_some_and(|level| level >= role),
                Needs::RoleForEverySensor(role) => level.is_some_and(|level| level >= role) && !is_limited,
                Needs::User => false,
            };
            if declared.name == "events" && expected {
                continue; // has no end; read above
            }
            let path = declared.path.replace("{name}", "no-such-one").replace("{sensor}", "no-such-one");
            let path = path.replace("{id}", "4711");
            let origin = client.origin();
            let answer = client
                .send(declared.method.name(), &path, &[header, &origin, "Content-Type: application/json"], "")
                .await;
            // What is allowed fails for another reason: nothing is sent along, and there is no such object.
            let refusal = if level.is_some() { 403 } else { 401 };
            assert_eq!(answer.status != refusal, expected, "{} by {who}: {answer:?}", declared.name);
            assert!(answer.status < 500, "{} by {who}: {answer:?}", declared.name);
        }
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_end_and_their_use_is_noted() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    let body = json!({ "name": "short", "role": "viewer", "groups": null, "expires": "1s" }).to_string();
    let made = client.change("POST", "/api/v1/keys", &cookie, &body).await.json();
    let header = format!("X-API-Key: {}", made["key"].as_str().unwrap());
    assert_eq!(status(&client, "/api/v1/stats", &header).await, 200);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let expired = client.get("/api/v1/stats", &[&header]).await;
    assert_eq!((expired.status, &expired.json()["code"]), (401, &"key".into()));
    for (body, parameter) in [
        (json!({ "name": "x", "role": "root", "groups": null }), "role"),
        (json!({ "name": "x", "role": "viewer" }), "groups"),
        (json!({ "name": "x", "role": "viewer", "groups": "wien" }), "groups"),
        (json!({ "name": "a b", "role": "viewer", "groups": null }), "name"),
        (json!({ "name": "x", "role": "viewer", "groups": ["a b"] }), "group"),
        (json!({ "name": "x", "role": "viewer", "groups": null, "expires": "soon" }), "expires"),
        (json!({ "name": "x", "role": "viewer", "groups": null, "more": 1 }), "more"),
        (json!({ "name": 7, "role": "viewer", "groups": null }), "name"),
    ] {
        let answer = client.change("POST", "/api/v1/keys", &cookie, &body.to_string()).await;
        assert_eq!((answer.status, &answer.json()["parameter"]), (400, &parameter.into()), "{body}");
    }
    for body in ["[]", "{", "7", "\"x\"", &"x".repeat(20_000)] {
        let answer = client.change("POST", "/api/v1/keys", &cookie, body).await;
        assert!([400, 413].contains(&answer.status), "{answer:?}");
    }
    collector.stop().await;
    let listed = sentinel_collector::access::Access::new(
        std::sync::Arc::new(files(directory.path())),
        Default::default(),
    );
    let keys = sentinel_collector::service::accounts::list_keys(
        &listed,
        &sentinel_collector::service::Caller::Operator,
    );
    let used = keys.unwrap().into_iter().find(|key| key.name == "short").unwrap();
    assert!(used.last_used_at.is_some(), "written at the stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_managed_and_one_administrator_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    let change = |method: &'static str, path: &'static str, body: Value| {
        let (client, cookie) = (client.clone(), cookie.clone());
        async move { client.change(method, path, &cookie, &body.to_string()).await.status }
    };
    let ben = json!({ "name": "ben", "password": "another long one", "role": "viewer", "groups": null });
    assert_eq!(change("POST", "/api/v1/users", ben.clone()).await, 201);
    assert_eq!(change("POST", "/api/v1/users", ben).await, 409, "the name is taken");
    assert_eq!(change("DELETE", "/api/v1/users/anna", json!({})).await, 409, "nobody else manages");
    assert_eq!(change("PATCH", "/api/v1/users/anna", json!({ "role": "viewer" })).await, 409);
    assert_eq!(change("PATCH", "/api/v1/users/anna", json!({ "groups": ["wien"] })).await, 409);
    assert_eq!(change("PATCH", "/api/v1/users/carl", json!({ "role": "viewer" })).await, 404);
    let cookie_of_ben = client.log_in("ben", "another long one", "").await.cookie(SESSION);
    let header = format!("Cookie: {cookie_of_ben}");
    assert_eq!(
        (status(&client, "/api/v1/stats", &header).await, status(&client, "/api/v1/users", &header).await),
        (200, 403)
    );
    assert_eq!(change("PATCH", "/api/v1/users/ben", json!({ "role": "admin" })).await, 204);
    assert_eq!(status(&client, "/api/v1/users", &header).await, 200, "rights change at once");
    assert_eq!(change("PATCH", "/api/v1/users/ben", json!({ "password": "yet another one" })).await, 204);
    assert_eq!(status(&client, "/api/v1/stats", &header).await, 401, "a new password ends log-ins");
    assert_eq!(client.log_in("ben", "another long one", "").await.status, 401);
    assert_eq!(change("DELETE", "/api/v1/users/anna", json!({})).await, 204, "ben manages");
    assert_eq!(status(&client, "/api/v1/users", &format!("Cookie: {cookie}")).await, 401, "anna is gone");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_names_who_did_what_and_what_was_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, client, cookie) = started(directory.path()).await;
    client.log_in("anna", "a wrong password", "").await;
    let viewer = key(&client, &cookie, "eye", "viewer", Value::Null).await;
    client.send("DELETE", "/api/v1/keys/eye", &[&format!("X-API-Key: {viewer}")], "").await;
    let path = "/api/v1/audit?limit=100";
    let header = format!("Cookie: {cookie}");
    eventually("the refusal is in the audit", || async {
        client.get(path, &[&header]).await.body.contains("refused: role")
    })
    .await;
    let audit = client.get(path, &[&header]).await.json();
    let line = |what: &str, result: &str| {
        let rows = audit["audit"].as_array().unwrap();
        let row = rows
            .iter()
            .find(|row| row["what"] == what && row["result"].as_str().unwrap().starts_with(result));
        let row = row.unwrap_or_else(|| panic!("no {what} {result} in {audit}"));
        ["who", "whence", "detail"].map(|name| row[name].as_str().unwrap().to_owned())
    };
    assert_eq!(line("login", "refused"), ["nobody", "127.0.0.1", "anna"]);
    assert_eq!(line("add_key", "ok")[0], "user anna");
    assert_eq!(line("remove_key", "refused: role"), ["key eye", "127.0.0.1", "/api/v1/keys/eye"]);
    assert!(!audit.to_string().contains(PASSWORD) && !audit.to_string().contains(&viewer));
    let first = client.get("/api/v1/audit?limit=1", &[&header]).await.json();
    let next = first["next"].as_str().unwrap();
    let second = client.get(&format!("/api/v1/audit?limit=1&cursor={next}"), &[&header]).await.json();
    assert_eq!(first["audit"][0]["id"].as_i64().unwrap() - 1, second["audit"][0]["id"].as_i64().unwrap());
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_without_a_log_in_is_a_setting() {
    for (loopback, reads, manages) in
        [(Loopback::Unset, 200, 403), (Loopback::Role(Role::Admin), 200, 200), (Loopback::LogIn, 401, 401)]
    {
        let directory = tempfile::tempdir().unwrap();
        let settings = CollectorSettings { loopback, ..settings(directory.path(), 10) };
        let collector = RunningCollector::start(settings).await.unwrap();
        let got =
            (get(collector.http, "/api/v1/alerts").await.0, get(collector.http, "/api/v1/users").await.0);
        assert_eq!(got, (reads, manages), "{loopback:?}");
        // A reverse proxy on this machine brings strangers.
        let text =
            format!("GET /api/v1/alerts HTTP/1.0\r\nHost: {}\r\nVia: 1.1 proxy\r\n\r\n", collector.http);
        assert_eq!(support::http::request(collector.http, &text).await.0, 401);
        collector.stop().await;
    }
}
