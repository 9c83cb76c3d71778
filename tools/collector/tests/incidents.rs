//! Incidents over HTTP: search, one of them, its messages, and changes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;

use sentinel_collector::run::RunningCollector;
use serde_json::{Value, json};
use support::http::{get_json, metric, request_with_headers};
use support::sensor::{SensorClient, connected, connected_version_2, enrolled};
use support::{eventually, start};

/// A collector with one sensor that has sent `count` messages, three of each incident, all taken.
async fn with_messages(directory: &Path, count: u64) -> (RunningCollector, SensorClient) {
    let collector = start(directory).await;
    let (pair, key) = enrolled(directory, collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    send(&mut peer, 1..=count).await;
    taken(collector.http, count).await;
    (collector, peer)
}

async fn send(peer: &mut SensorClient, seqs: std::ops::RangeInclusive<u64>) {
    let (mut first, end) = seqs.into_inner();
    while first <= end {
        let to = end.min(first + 39);
        let last = peer.send_messages(1, first..=to).await;
        peer.until_acked(last).await;
        first = to + 1;
    }
}

/// Waits until all of `count` messages are part of an incident.
async fn taken(http: SocketAddr, count: u64) {
    eventually("all are taken", || async {
        let (_, stats) = get_json(http, "/api/v1/stats").await;
        let (_, page) = get_json(http, "/api/v1/incidents?limit=1").await;
        stats["alerts"]["stored"] == count && page["behind"] == 0
    })
    .await;
}

fn ids(page: &Value) -> Vec<i64> {
    page["incidents"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// Status, header and body of a request with a body of JSON.
async fn send_json(
    http: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String, Value) {
    let origin =
        if headers.contains("Origin") { String::new() } else { format!("Origin: http://{http}\r\n") };
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {http}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{origin}{headers}\r\n{body}",
        body.len()
    );
    let (status, head, body) = request_with_headers(http, &text).await;
    let value = serde_json::from_str(&body).expect("the answer is JSON");
    (status, head, value)
}

async fn patch(http: SocketAddr, id: i64, body: &Value) -> (u16, Value) {
    let path = format!("/api/v1/incidents/{id}");
    let (status, _, answer) = send_json(http, "PATCH", &path, "", &body.to_string()).await;
    (status, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_one_incident_are_one_row() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer) = with_messages(directory.path(), 7).await;
    let http = collector.http;
    let (status, page) = get_json(http, "/api/v1/incidents").await;
    assert_eq!((status, ids(&page), &page["partial"]), (200, vec![3, 2, 1], &false.into()));
    let (open, closed) = (&page["incidents"][0], &page["incidents"][2]);
    assert_eq!((&open["phase"], &open["messages"]), (&"open".into(), &1.into()));
    assert_eq!((&closed["phase"], &closed["messages"]), (&"closed".into(), &3.into()));
    for (member, value) in [
        ("sensor", json!("branch-7")),
        ("kind", json!("port_scan")),
        ("severity", json!("medium")),
        ("src", json!("10.0.0.1")),
        ("dst", json!("10.20.30.10")),
        ("state", json!("new")),
        ("incident", json!(1)),
        ("first_time", json!("2023-11-14T22:13:21.000000Z")),
        ("last_time", json!("2023-11-14T22:13:23.000000Z")),
    ] {
        assert_eq!(closed[member], value, "{member}");
    }
    let (status, messages) = get_json(http, "/api/v1/incidents/1/messages?limit=2").await;
    let seqs = |answer: &Value| {
        let rows = answer["messages"].as_array().unwrap();
        rows.iter().map(|row| row["seq"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((status, seqs(&messages)), (200, vec![3, 2]));
    let next = messages["next"].as_str().unwrap();
    let (_, rest) = get_json(http, &format!("/api/v1/incidents/1/messages?limit=2&cursor={next}")).await;
    assert_eq!((seqs(&rest), &rest["next"]), (vec![1], &Value::Null));
    let (status, _) = get_json(http, &format!("/api/v1/incidents/2/messages?cursor={next}")).await;
    assert_eq!(status, 400, "of another incident");
    let (status, detail) = get_json(http, "/api/v1/incidents/3").await;
    assert_eq!((status, &detail["latest"]["evidence"]["ports_at_least"]), (200, &15.into()));
    // The next message changes the row.
    send(&mut peer, 8..=9).await;
    taken(http, 9).await;
    let (_, detail) = get_json(http, "/api/v1/incidents/3").await;
    assert_eq!((&detail["phase"], &detail["messages"]), (&"closed".into(), &3.into()));
    assert_eq!(metric(http, "sentinel_collector_index_behind").await.as_deref(), Some("0"));
    for path in [
        "/api/v1/incidents/4",
        "/api/v1/incidents/0",
        "/api/v1/incidents/%FF",
        "/api/v1/incidents/x/messages",
    ] {
        let (status, answer) = get_json(http, path).await;
        assert_eq!(status, 404, "{path}: {answer}");
        assert!(answer["allowed"][0].is_string(), "{path}: {answer}");
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_at_their_cursor_while_incidents_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, mut peer) = with_messages(directory.path(), 75).await;
    let http = collector.http;
    let (mut all, mut path) = (Vec::new(), "/api/v1/incidents?limit=10&kind=port_scan".to_owned());
    loop {
        let (status, page) = get_json(http, &path).await;
        assert_eq!(status, 200, "{page}");
        all.extend(ids(&page));
        if all.len() == 10 {
            send(&mut peer, 76..=90).await;
            taken(http, 90).await;
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/incidents?kind=port_scan&limit=10&cursor={next}");
    }
    assert_eq!(all, (1..=25).rev().collect::<Vec<_>>());
    let (_, page) = get_json(http, "/api/v1/incidents?limit=10").await;
    let next = page["next"].as_str().unwrap();
    let (status, answer) =
        get_json(http, &format!("/api/v1/incidents?limit=10&state=new&cursor={next}")).await;
    assert_eq!((status, &answer["parameter"]), (400, &"cursor".into()), "of another query");
    collector.stop().await;
}

/// "No alert matches" was said while the store had it: the page had only looked at its own 500 rows.
#[tokio::test(flavor = "multi_thread")]
async fn each_incident_of_the_store_is_found_by_its_source() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = with_messages(directory.path(), 2_400).await;
    let http = collector.http;
    for number in (1..=800).step_by(37).chain([800]) {
        let source = format!("10.0.{}.{}", number >> 8, number & 255);
        for query in [format!("src={source}"), format!("q={source}"), format!("q=scan%20{source}/32")] {
            let (status, page) = get_json(http, &format!("/api/v1/incidents?{query}")).await;
            assert_eq!((status, ids(&page)), (200, vec![number]), "{query}");
        }
    }
    // In as many parts as a slow machine needs.
    let mut path = "/api/v1/incidents?q=nowhere".to_owned();
    loop {
        let (_, page) = get_json(http, &path).await;
        assert!(ids(&page).is_empty() && page["reached"].is_string(), "{page}");
        assert_eq!(page["partial"], page["next"].is_string(), "{page}");
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/incidents?q=nowhere&cursor={next}");
    }
    for (query, parameter, allowed) in [
        ("src=10.0.0", "src", "192.0.2.7"),
        ("dst=10.0.0.0/33", "dst", "192.0.2.0/24"),
        ("state=open", "state", "false_alarm"),
        ("phase=new", "phase", "run_ended"),
        ("q=a+b+c+d+e+f+g+h+i", "q", "8 words"),
        ("cursor=5", "cursor", "next of the page"),
        ("limit=0", "limit", "1 to 1000"),
        ("sensor=nobody", "sensor", "branch-7"),
        ("colour=red", "colour", "severity"),
    ] {
        let (status, answer) = get_json(http, &format!("/api/v1/incidents?{query}")).await;
        assert_eq!((status, &answer["parameter"]), (400, &parameter.into()), "{query}: {answer}");
        assert!(answer["allowed"].to_string().contains(allowed), "{query}: {answer}");
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn states_and_notes_are_kept_with_who_and_when() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = with_messages(directory.path(), 9).await;
    let http = collector.http;
    let (status, answer) =
        patch(http, 2, &json!({ "state": "false_alarm", "note": "the nightly backup" })).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["state"], &answer["state_by"], &answer["notes"]),
        (&"false_alarm".into(), &"loopback".into(), &1.into())
    );
    assert_eq!(answer["changes"][0]["note"], "the nightly backup");
    assert!(answer["changes"][0]["time"].as_str().unwrap().ends_with('Z'));
    let (_, page) = get_json(http, "/api/v1/incidents?state=false_alarm").await;
    assert_eq!(ids(&page), [2]);
    let (_, page) = get_json(http, "/api/v1/incidents?state=new,seen").await;
    assert_eq!(ids(&page), [3, 1]);
    // Two people at once: the second one is told.
    let tagged = |tag: &'static str| async move {
        let body = json!({ "state": "resolved" }).to_string();
        send_json(http, "PATCH", "/api/v1/incidents/2", &format!("If-Match: {tag}\r\n"), &body).await
    };
    let (status, head, _) = tagged("\"1\"").await;
    assert!(status == 200 && head.contains("etag: \"2\""), "{status} {head}");
    let (status, _, answer) = tagged("\"1\"").await;
    assert_eq!((status, &answer["code"]), (409, &"changed".into()), "{answer}");
    assert!(
        answer["allowed"].to_string().contains("If-Match: \\\\\\\"2\\\\\\\"")
            || answer["allowed"].to_string().contains('2')
    );
    assert_eq!(tagged("yesterday").await.0, 400);
    assert_eq!(tagged("*").await.0, 200);
    collector.stop().await;
    // What was said is still there after a restart.
    let collector = start(directory.path()).await;
    let (_, answer) = get_json(collector.http, "/api/v1/incidents/2").await;
    assert_eq!((&answer["state"], answer["changes"].as_array().unwrap().len()), (&"resolved".into(), 3));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_change_many_once() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = with_messages(directory.path(), 9).await;
    let http = collector.http;
    let body = json!({ "ids": [1, 3, 77], "state": "seen", "note": "looked at" }).to_string();
    for _ in 0..2 {
        let path = "/api/v1/incidents/actions";
        let (status, _, answer) = send_json(http, "POST", path, "Idempotency-Key: a-1\r\n", &body).await;
        assert_eq!((status, answer), (200, json!({ "changed": [1, 3], "missing": [77] })));
    }
    let (_, answer) = get_json(http, "/api/v1/incidents/3").await;
    assert_eq!(
        (&answer["state"], &answer["notes"], &answer["revision"]),
        (&"seen".into(), &1.into(), &1.into())
    );
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_change_is_answered_with_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let (collector, _peer) = with_messages(directory.path(), 3).await;
    let http = collector.http;
    let long = "n".repeat(2_001);
    for (body, allowed) in [
        ("", "state"),
        ("{", "state"),
        ("[]", "state"),
        ("{}", "note"),
        ("{\"state\":\"open\"}", "false_alarm"),
        ("{\"state\":1}", "seen"),
        ("{\"note\":\"\"}", "2000 characters"),
        ("{\"note\":\"a\\u001bb\"}", "2000 characters"),
        (&format!("{{\"note\":\"{long}\"}}"), "2000 characters"),
        ("{\"state\":\"seen\",\"by\":\"root\"}", "state"),
    ] {
        let (status, _, answer) = send_json(http, "PATCH", "/api/v1/incidents/1", "", body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer["allowed"].to_string().contains(allowed), "{body}: {answer}");
    }
    for body in
        ["{}", "{\"ids\":[],\"state\":\"seen\"}", "{\"ids\":[1]}", "{\"ids\":[\"1\"],\"state\":\"seen\"}"]
    {
        let (status, _, answer) = send_json(http, "POST", "/api/v1/incidents/actions", "", body).await;
        assert_eq!(status, 400, "{body}: {answer}");
    }
    let many = json!({ "ids": (1..=1_001).collect::<Vec<_>>(), "state": "seen" }).to_string();
    let (status, _, _) = send_json(http, "POST", "/api/v1/incidents/actions", "", &many).await;
    assert_eq!(status, 400);
    let (status, answer) = patch(http, 99, &json!({ "state": "seen" })).await;
    assert_eq!(status, 404, "{answer}");
    let seen = json!({ "state": "seen" }).to_string();
    for (method, path, headers, expected) in [
        ("PATCH", "/api/v1/incidents/1", "Origin: http://evil.example\r\n", 403),
        ("PATCH", "/api/v1/incidents/1", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("POST", "/api/v1/incidents/1", "", 405),
        ("DELETE", "/api/v1/incidents/1", "", 405),
        ("PATCH", "/api/v1/incidents", "", 405),
        ("POST", "/api/v1/alerts", "", 405),
        ("POST", "/api/v1/incidents/actions", "Idempotency-Key: \r\n", 400),
    ] {
        let (status, _, answer) = send_json(http, method, path, headers, &seen).await;
        assert_eq!(status, expected, "{method} {path} {headers}: {answer}");
        assert!(answer["allowed"][0].is_string(), "{answer}");
    }
    let (_, answer) = get_json(http, "/api/v1/incidents/1").await;
    assert_eq!((&answer["state"], &answer["revision"]), (&"new".into(), &0.into()), "nothing was changed");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_a_run_that_ended_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let collector = start(directory.path()).await;
    let http = collector.http;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected_version_2(collector.listen, &pair, &key, 1).await;
    send(&mut peer, 1..=1).await;
    taken(http, 1).await;
    assert_eq!(get_json(http, "/api/v1/incidents/1").await.1["phase"], "open");
    drop(peer);
    let (_peer, _) = connected_version_2(collector.listen, &pair, &key, 2).await;
    eventually("it is over", || async {
        get_json(http, "/api/v1/incidents/1").await.1["phase"] == "run_ended"
    })
    .await;
    collector.stop().await;
}
