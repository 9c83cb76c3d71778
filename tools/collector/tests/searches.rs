//! Searches over a large store, as many as anybody likes: sensors, pages and monitors do not notice.

#![expect(
    clippy::indexing_slicing,
    reason = "the lints spare test functions only, and what they call serves tests alone"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sentinel_alert::{Kind, Severity};
use sentinel_collector::http::HttpLimits;
use sentinel_collector::store::{ReadLimits, ReaderPool};
use support::http::{get, get_json, limited};
use support::sensor::{connected, enrolled};
use support::{fill, start_http_limited};

/// No alert has both: kinds and severities alternate, see [`fill`]. Half of the rows have to be looked at.
fn slow_path() -> String {
    format!("/api/v1/alerts?kind={}&severity={}", Kind::ALL[1].name(), Severity::ALL[0].name())
}

fn p99(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans[(spans.len() - 1) * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_searches_at_once_delay_neither_acknowledgements_nor_health() {
    let directory = tempfile::tempdir().unwrap();
    let limits =
        HttpLimits { connections_per_address: 200, searches_per_address: 64, ..HttpLimits::default() };
    let searches = ReadLimits { deadline: Duration::from_secs(2), ..ReaderPool::SEARCH };
    let collector = start_http_limited(directory.path(), limits, searches).await;
    let http = collector.http;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await;
    fill(directory.path(), 300_000);
    let path = slow_path();
    let stop = Arc::new(AtomicBool::new(false));
    let searchers: Vec<_> = (0..40)
        .map(|number| {
            // Half of them in the alerts, half in the incidents that are made of them meanwhile.
            let path = if number % 2 == 0 { path.clone() } else { "/api/v1/incidents?q=nowhere".to_owned() };
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut statuses = BTreeMap::new();
                while !stop.load(Ordering::Relaxed) {
                    *statuses.entry(get(http, &path).await.0).or_insert(0_u32) += 1;
                }
                statuses
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut acks, mut health, mut metrics, mut pages) = (vec![], vec![], vec![], vec![]);
    for seq in 2..=60 {
        let started = Instant::now();
        let last = peer.send_alerts(1, seq..=seq).await;
        peer.until_acked(last).await;
        acks.push(started.elapsed());
        for (path, spans) in
            [("/health", &mut health), ("/metrics", &mut metrics), ("/api/v1/stats", &mut pages)]
        {
            let started = Instant::now();
            assert_eq!(get(http, path).await.0, 200, "{path}");
            spans.push(started.elapsed());
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    for searcher in searchers {
        for (status, count) in searcher.await.unwrap() {
            *statuses.entry(status).or_default() += count;
        }
    }
    let [acks, health, metrics, pages] = [acks, health, metrics, pages].map(p99);
    let figures =
        format!("p99 of ack {acks:?}, health {health:?}, metrics {metrics:?}, stats {pages:?}; {statuses:?}");
    println!("{figures}");
    assert!(statuses.keys().all(|status| [200, 503].contains(status)), "{figures}");
    assert!(statuses.values().sum::<u32>() >= 40, "{figures}");
    assert!(acks < Duration::from_secs(1), "{figures}");
    assert!(health < Duration::from_secs(1) && metrics < Duration::from_secs(1), "{figures}");
    assert!(pages < Duration::from_secs(2), "{figures}");
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_past_its_deadline_says_how_far_it_got_or_names_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let searches = ReadLimits { reading: 1, waiting: 2, deadline: Duration::from_millis(1) };
    let collector = start_http_limited(directory.path(), HttpLimits::default(), searches).await;
    let http = collector.http;
    let (pair, key) = enrolled(directory.path(), collector.listen, "branch-7").await;
    let (mut peer, _) = connected(collector.listen, &pair, &key, 1).await;
    let last = peer.send_alerts(1, 1..=1).await;
    peer.until_acked(last).await;
    fill(directory.path(), 50_000);
    let (status, answer) = get_json(http, &slow_path()).await;
    // In a millisecond it has looked at some of them, or at none.
    if status == 200 {
        assert!(
            answer["partial"] == true && answer["next"].is_string() && answer["reached"].is_string(),
            "{answer}"
        );
    } else {
        assert_eq!((status, &answer["limit"]), (503, &"query_deadline".into()), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains("0.001 s"), "{answer}");
        assert_eq!(limited(http, "query_deadline").await, 1);
    }
    collector.stop().await;
}
