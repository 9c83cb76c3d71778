//! A corpus of captures with known answers, which is too large for the repository.
//!
//! Its folder is `SENTINEL_CORPUS`, or `../shared/corpus` beside the workspace; without it this suite reports that and
//! passes. Release builds read all of it, debug builds the selection in `SMOKE.tsv` unless `SENTINEL_CORPUS_ALL` is 1.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use support::{stderr, stdout};

/// Limits of memory and time for one capture: enough for the largest tables and buffers, far below any leak or decompression bomb.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_SECONDS: u32 = if cfg!(debug_assertions) { 60 } else { 10 };
const THREADS: usize = 4;

/// Names of `expected_alerts` in the corpus that are kinds of this program. Others belong to detectors that it does not have, or need
/// lists of the operator.
const NAMES: [(&str, &str); 14] = [
    ("PortScan", "port_scan"),
    ("SynFlood", "syn_flood"),
    ("IcmpFlood", "icmp_flood"),
    ("SuspiciousPort", "suspicious_port"),
    ("ArpSpoof", "arp_spoof"),
    ("DnsTunnel", "dns_tunnel"),
    ("Exfiltration", "exfiltration"),
    ("BruteForce", "brute_force"),
    ("DgaDetected", "dga"),
    ("FastFlux", "fast_flux"),
    ("LargeTransfer", "large_transfer"),
    ("ChatApplication", "chat_app"),
    ("CloudStorage", "cloud_storage"),
    ("SuspiciousTld", "suspicious_tld"),
];

/// Files with custom blocks, which the index counts as packets (its tool shows each as a frame). They hold none.
const WITH_CUSTOM_BLOCKS: [&str; 6] = [
    "gopkt__be--test017",
    "gopkt__be--test102",
    "gopkt__be--test202",
    "gopkt__le--test017",
    "gopkt__le--test102",
    "gopkt__le--test202",
];

struct Capture {
    /// Path inside the corpus: `pcap/<category>/<file>`.
    file: String,
    /// Packets, if the index has their number: it has 0 for files whose link type its tool could not open.
    packets: Option<u64>,
}

/// Not by a print macro, whose output the test runner would hide.
fn say(what: &str) {
    std::io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
}

fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("SENTINEL_CORPUS").map_or(beside, PathBuf::from);
    if folder.join("INDEX.tsv").is_file() {
        return Some(folder);
    }
    say(&format!("corpus suite skipped: no folder {}", folder.display()));
    None
}

/// The rows of a table, each as a map from its heading.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let headings: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let row = |line: &str| -> BTreeMap<String, String> {
        headings.iter().zip(line.split('\t')).map(|(name, cell)| ((*name).into(), cell.into())).collect()
    };
    lines.map(row).collect()
}

fn captures(corpus: &Path) -> Vec<Capture> {
    let all = !cfg!(debug_assertions) || std::env::var("SENTINEL_CORPUS_ALL").is_ok_and(|all| all == "1");
    let smoke: BTreeSet<String> =
        rows(&corpus.join("SMOKE.tsv")).into_iter().map(|row| row["file"].clone()).collect();
    let chosen: Vec<Capture> = rows(&corpus.join("INDEX.tsv"))
        .into_iter()
        .filter(|row| all || smoke.contains(&row["file"]))
        .map(|row| {
            let packets: u64 = row["packets"].parse().unwrap();
            let misled = WITH_CUSTOM_BLOCKS.iter().any(|name| row["file"].contains(name));
            Capture {
                file: row["file"].clone(),
                packets: Some(packets).filter(|count| *count > 0 && !misled),
            }
        })
        .collect();
    assert!(chosen.len() >= 100, "the corpus is not whole");
    chosen
}

/// The program with a bound on its time (exit code 124) and on its address space (it would abort).
fn bounded(path: &Path, view: &str) -> Output {
    let script = format!("ulimit -v {MAX_MEMORY_KIB}; exec timeout {MAX_SECONDS} \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script);
    support::wrapped(shell, &support::sentinel()).arg("read").arg(path).arg(view).output().unwrap()
}

/// Errors in the output for each capture. All captures are read, some in parallel.
fn compare(captures: &[Capture], check: impl Fn(&Capture) -> Vec<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(capture) = captures.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(check(capture).into_iter().map(|what| format!("{}: {what}", capture.file)));
        }
        wrong
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Checks that the program ended with 0 or 1, not by a signal, and with 1 gave the reason in one line.
fn ending(output: &Output) -> Vec<String> {
    let message = stderr(output);
    match output.status.code() {
        Some(0) => Vec::new(),
        Some(1) if message.starts_with("sentinel: ") && message.contains(": offset ") => Vec::new(),
        _ => vec![format!("{}: {message}", output.status)],
    }
}

/// Kinds that the capture must raise and kinds that it may raise; `None` if the corpus does not list them.
fn expected_kinds(
    corpus: &Path,
    capture: &Capture,
) -> Option<(BTreeSet<&'static str>, BTreeSet<&'static str>)> {
    let path = corpus.join(format!("expected/{}.json", capture.file.strip_prefix("pcap/")?));
    let answers: Value = serde_json::from_slice(&fs::read(path).ok()?).unwrap();
    let names: Vec<&str> = answers["expected_alerts"].as_array()?.iter().filter_map(Value::as_str).collect();
    let kind = |name: &str| NAMES.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours);
    let must = names.iter().filter_map(|name| kind(name)).collect();
    let may = names.iter().filter_map(|name| kind(name.trim_end_matches('?'))).collect();
    Some((must, may))
}

fn alerts_of(corpus: &Path, capture: &Capture) -> Vec<String> {
    let output = bounded(&corpus.join(&capture.file), "--alerts");
    let mut wrong = ending(&output);
    let text = stdout(&output);
    let opened: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|alert| alert["phase"] == "open")
        .collect();
    // What the corpus lists is what thresholds per source raise; a flood of forged sources it leaves open.
    let listed = opened.iter().filter(|alert| alert["test"] != "per_victim");
    let kinds: BTreeSet<&str> = listed.filter_map(|alert| alert["kind"].as_str()).collect();
    if let Some((must, may)) = expected_kinds(corpus, capture) {
        let missing: Vec<_> = must.difference(&kinds).collect();
        // The corpus judges thresholds: below one, a stronger test may fire.
        let is_simple = |alert: &&Value| {
            !matches!(
                alert["test"].as_str(),
                Some(
                    "failed_contacts"
                        | "crafted_packets"
                        | "host_sweep"
                        | "per_victim"
                        // What payloads show besides: log-ins in clear text, old TLS, and programs that ask.
                        | "cleartext_credentials"
                        | "tls_risk"
                        | "user_agent"
                        | "behaviour"
                )
            )
        };
        let simple: BTreeSet<&str> =
            opened.iter().filter(is_simple).filter_map(|alert| alert["kind"].as_str()).collect();
        let extra: Vec<_> = simple.difference(&may).collect();
        if !missing.is_empty() || !extra.is_empty() {
            wrong.push(format!("missing {missing:?}, unexpected {extra:?}"));
        }
    }
    if capture.file.starts_with("pcap/benign/") {
        let claims = |alert: &&Value| !matches!(alert["severity"].as_str(), Some("info" | "low"));
        wrong.extend(opened.iter().filter(claims).map(|alert| format!("false positive: {alert}")));
    }
    wrong
}

#[test]
fn alerts_are_those_expected_and_no_capture_crashes_the_reader() {
    let Some(corpus) = corpus() else { return };
    let captures = captures(&corpus);
    let wrong = compare(&captures, |capture| alerts_of(&corpus, capture));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), captures.len(), wrong.join("\n"));
    let compared = captures.iter().filter(|capture| expected_kinds(&corpus, capture).is_some()).count();
    assert!(compared > 20, "{compared} captures with expected alerts");
    say(&format!("corpus suite: {} captures read, {compared} with expected alerts", captures.len()));
}

#[test]
fn packets_are_counted_as_the_index_does() {
    let Some(corpus) = corpus() else { return };
    let captures = captures(&corpus);
    let counted = AtomicUsize::new(0);
    let wrong = compare(&captures, |capture| {
        let output = bounded(&corpus.join(&capture.file), "--count-only");
        let mut wrong = ending(&output);
        if let (true, Some(packets)) = (output.status.success(), capture.packets) {
            counted.fetch_add(1, Ordering::Relaxed);
            let found = stdout(&output);
            if found.trim() != packets.to_string() {
                wrong.push(format!("{} packets, the index has {packets}", found.trim()));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), captures.len(), wrong.join("\n"));
    let good = counted.load(Ordering::Relaxed);
    assert!(good * 10 > captures.len() * 9, "only {good} of {} are good files", captures.len());
}

/// Entry of a capture in the index of the corpus.
fn known(corpus: &Path, capture: &Capture) -> Option<Value> {
    let path = corpus.join(format!("expected/{}.json", capture.file.strip_prefix("pcap/")?));
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn lines_of(corpus: &Path, capture: &Capture, view: &str) -> Vec<Value> {
    let text = stdout(&bounded(&corpus.join(&capture.file), view));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn list<'v>(value: &'v Value, path: &[&str]) -> &'v [Value] {
    let found = path.iter().try_fold(value, |value, name| value.get(name));
    found.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

/// Capture, and the reason why other tools read it differently.
const OTHER_RECORDS: [(&str, &str); 22] = [
    ("quic_interop_V", "versions that are made up, or drafts before 23"),
    ("quic-mvfst", "versions of one company"),
    ("quic_t50", "a version of one company"),
    ("quic_ppp", "a link type that is not read"),
    ("dlt_ppp", "a link type that is not read"),
    ("ppp--quic", "a link type that is not read"),
    ("nflog", "a link type that is not read"),
    ("ipoib", "a link type that is not read"),
    ("wpa-eap-tls", "TLS inside EAP"),
    ("opvn", "TLS inside OpenVPN"),
    ("openvpn", "TLS inside OpenVPN"),
    ("sctp-www", "HTTP over SCTP"),
    ("quic_frags_different_dcid", "the second packet has another connection number"),
    ("ossfuzz", "made by a fuzzer"),
    ("clusterfuzz", "made by a fuzzer"),
    ("tls_cipher_lens", "lengths that lie"),
    ("ja3_lots_of_cipher_suites_2", "a hello of which a part is missing"),
    ("tls13-20-chacha", "a draft with another server hello"),
    ("corner-cases", "server hellos that are cut"),
    ("encrypted_handshake_cert", "server hellos that are cut"),
    ("http--methods", "request lines without a target or with two spaces"),
    ("bug-4903", "a banner of zero bytes"),
];

/// Requests behind a body, inside a decrypted stream, or wrong on purpose.
const OTHER_REQUESTS: [&str; 9] = [
    "gre-erspan-vxlan",
    "http-ooo",
    "http--proxy",
    "http--261",
    "connect-with-smtp",
    "mixed-vlan-mpls",
    "tls12-dsb",
    "arkime_synthetic",
    "WebattackRCE",
];

/// Fields that other tools read from the same messages: fingerprints and names of TLS and QUIC, requests, banners.
fn records_of(corpus: &Path, capture: &Capture, compared: &AtomicUsize) -> Vec<String> {
    let Some(known) = known(corpus, capture) else { return Vec::new() };
    if OTHER_RECORDS.iter().any(|(name, _)| capture.file.contains(name)) {
        return Vec::new();
    }
    let records = lines_of(corpus, capture, "--records");
    let mut wrong = Vec::new();
    let mut compare = |what: &Value, fits: &dyn Fn(&Value) -> bool| {
        compared.fetch_add(1, Ordering::Relaxed);
        let port = |name: &str| text(what, name).parse::<u64>().ok();
        let is_same = |record: &&Value| {
            record["src"] == what["src"]
                && record["dst"] == what["dst"]
                && record["src_port"].as_u64() == port("sport")
                && record["dst_port"].as_u64() == port("dport")
        };
        if !records.iter().filter(is_same).any(fits) {
            wrong.push(format!("no record for {what}"));
        }
    };
    for hello in list(&known, &["tshark", "tls_client"]) {
        if hello["l4"] == "tcp" && !text(hello, "ja3").is_empty() {
            let alpn = |record: &Value| {
                list(record, &["alpn"]).iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|")
            };
            compare(hello, &|it| {
                it["ja3_hash"] == hello["ja3"]
                    && text(it, "sni") == text(hello, "sni")
                    && alpn(it) == text(hello, "alpn")
            });
        }
    }
    // One without suites and extensions is a hello of SSL 2.
    let ja4 = list(&known, &["ja4_reference"])
        .iter()
        .filter(|hello| !text(hello, "ja4").ends_with("_000000000000_000000000000"));
    ja4.for_each(|hello| compare(hello, &|it| it["ja4"] == hello["ja4"]));
    for hello in list(&known, &["tshark", "tls_server"]).iter().filter(|hello| hello["l4"] == "tcp") {
        if !capture.file.contains("arkime_synthetic") {
            compare(hello, &|it| it["ja3s_hash"] == hello["ja3s"]);
        }
    }
    for banner in list(&known, &["tshark", "ssh"]) {
        if let Some(line) = banner["proto"].as_str() {
            compare(banner, &|it| {
                let software = [text(it, "client_software"), text(it, "server_software")].concat();
                it["record"] == "ssh"
                    && line.split_once('-').is_some_and(|(_, rest)| rest.contains(&software))
            });
        }
    }
    if !OTHER_REQUESTS.iter().any(|name| capture.file.contains(name)) {
        for request in list(&known, &["tshark", "http_req"]).iter().filter(|it| it["dport"] != "1900") {
            // The corpus cuts long targets.
            compare(request, &|it| {
                it["method"] == request["method"] && text(it, "path").starts_with(text(request, "uri"))
            });
        }
    }
    wrong
}

#[test]
fn records_have_the_fields_that_other_tools_read() {
    let Some(corpus) = corpus() else { return };
    let captures = captures(&corpus);
    let compared = AtomicUsize::new(0);
    let wrong = compare(&captures, |capture| records_of(&corpus, capture, &compared));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), captures.len(), wrong.join("\n"));
    let compared = compared.into_inner();
    assert!(compared > 100, "only {compared} messages were compared");
    say(&format!("corpus suite: {compared} messages are those that other tools read"));
}

const OTHER_FLOWS: [(&str, &str); 9] = [
    ("gtp-iphone", "errors of ICMP are one flow each way here"),
    ("IKEv", "an identifier of ESP that counts ports it has not"),
    ("ah-esp", "AH is a header here, not the protocol"),
    ("nflog", "a link type that is not read"),
    ("arkime_synthetic", "ports used again for another flow"),
    ("socks5-http-302-frag", "sessions of which only some are listed"),
    ("half-duplex", "attempts end after 5 s there"),
    ("dhcp--dhcp", "the client of a response without request is identified by its port"),
    ("misordered-ntp", "responses are identified by their bytes"),
];

/// Sessions of Arkime (Community ID, packets) and connections of Zeek (both ends, packets, bytes, state).
fn flows_of(corpus: &Path, capture: &Capture, compared: &AtomicUsize) -> Vec<String> {
    let Some(known) = known(corpus, capture) else { return Vec::new() };
    let sessions: Vec<&Value> = list(&known, &["peers", "arkime"]).iter().collect();
    let mut sessions: Vec<&Value> = sessions.into_iter().flat_map(|it| list(it, &["sessions"])).collect();
    if let Some(one) = known["peers"].get("arkime").filter(|it| it.is_object()) {
        sessions.extend(list(one, &["sessions"]));
    }
    let tests = list(&known, &["peers", "zeek"]);
    let connections: Vec<&Value> = tests.iter().flat_map(|it| list(it, &["logs", "conn"])).collect();
    if sessions.is_empty() && connections.is_empty()
        || OTHER_FLOWS.iter().any(|(name, _)| capture.file.contains(name))
    {
        return Vec::new();
    }
    let flows = lines_of(corpus, capture, "--flows");
    let mut wrong = Vec::new();
    for session in &sessions {
        let Some(identifier) = session["community_id"].as_str() else { continue };
        compared.fetch_add(1, Ordering::Relaxed);
        let mine = flows.iter().filter(|flow| flow["community_id"] == identifier);
        let found: u64 =
            mine.flat_map(|flow| [&flow["packets_out"], &flow["packets_in"]]).filter_map(Value::as_u64).sum();
        let same = sessions.iter().filter(|other| other["community_id"] == identifier);
        let expected: u64 = same.flat_map(|other| list(other, &["pkts"])).filter_map(Value::as_u64).sum();
        if found != expected {
            wrong.push(format!("{found} packets, not {expected}, of {session}"));
        }
    }
    for connection in connections {
        compared.fetch_add(1, Ordering::Relaxed);
        let number = |flow: &Value, name: &str| flow[name].as_u64().map(|number| number.to_string());
        let pairs = [
            ("src_port", "id.orig_p"),
            ("dst_port", "id.resp_p"),
            ("packets_out", "orig_pkts"),
            ("packets_in", "resp_pkts"),
            ("bytes_out", "orig_ip_bytes"),
            ("bytes_in", "resp_ip_bytes"),
        ];
        let fits = |flow: &&Value| {
            flow["src"] == connection["id.orig_h"]
                && flow["dst"] == connection["id.resp_h"]
                && (flow["tcp_state"].is_null() || flow["tcp_state"] == connection["conn_state"])
                && pairs
                    .iter()
                    .all(|(ours, theirs)| number(flow, ours).as_deref() == connection[*theirs].as_str())
        };
        if !flows.iter().any(|flow| fits(&flow)) {
            wrong.push(format!("no flow like {connection}"));
        }
    }
    wrong
}

#[test]
fn flows_are_those_of_other_tools() {
    let Some(corpus) = corpus() else { return };
    let captures = captures(&corpus);
    let compared = AtomicUsize::new(0);
    let wrong = compare(&captures, |capture| flows_of(&corpus, capture, &compared));
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), captures.len(), wrong.join("\n"));
    say(&format!("corpus suite: {} flows are those of other tools", compared.into_inner()));
}

/// The view of single packets: one line for each, of printable characters, whatever is in it.
#[test]
fn every_packet_has_its_line() {
    let Some(corpus) = corpus() else { return };
    let captures = captures(&corpus);
    let names = AtomicUsize::new(0);
    let wrong = compare(&captures, |capture| {
        let output = bounded(&corpus.join(&capture.file), "--color=never");
        let text = stdout(&output);
        let mut wrong = Vec::new();
        if !output.status.success() && !stderr(&output).contains(": offset ") {
            wrong.push(format!("{}: {}", output.status, stderr(&output)));
        }
        let is_line = |line: &str| {
            line.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && line.get(26..29) == Some(" - ")
        };
        wrong.extend(text.lines().filter(|line| !is_line(line)).map(|line| format!("{line:?}")));
        if let (true, Some(packets)) = (output.status.success(), capture.packets) {
            let lines = u64::try_from(text.lines().count()).unwrap();
            if lines != packets {
                wrong.push(format!("{lines} lines, the index has {packets} packets"));
            }
        }
        let named = |line: &&str| line.contains(" - QUIC ") && line.contains(".com version 0x1 ");
        names.fetch_add(text.lines().filter(named).count(), Ordering::Relaxed);
        wrong
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), captures.len(), wrong.join("\n"));
    let names = names.load(Ordering::Relaxed);
    assert!(names > 0, "no name of a QUIC server");
}
