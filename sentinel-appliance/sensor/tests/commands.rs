//! The program from outside: bad input, wrong use, filters, pipes. No network.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use sentinel_uplink::{KeyPair, Token};
use support::{
    Order, Record, golden, pcap, pcapng, records, run, run_with_input, sentinel, stderr, stdout, wrapped,
};

fn capture(name: &str) -> Vec<u8> {
    fs::read(golden().join(format!("{name}.pcap"))).unwrap()
}

fn alerts(name: &str) -> String {
    fs::read_to_string(golden().join(format!("{name}.alerts.ndjson"))).unwrap()
}

/// Exit code, and the only line on standard error.
fn failure(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), stderr(output))
}

/// Offset of each record of a little-endian pcap file, and of its end.
fn boundaries(file: &[u8]) -> Vec<usize> {
    let mut at = 24;
    let mut found = vec![at];
    while at < file.len() {
        at += 16 + usize::try_from(u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap())).unwrap();
        found.push(at);
    }
    found
}

/// A file cut at any byte gives the alerts of its complete frames, exit code 1, and the place and reason.
#[test]
fn a_capture_cut_at_any_byte_gives_the_alerts_before_the_cut() {
    const NAME: &str = "arp-spoof-both-ways";
    let file = capture(NAME);
    let boundaries = boundaries(&file);
    let whole: Vec<String> = boundaries
        .iter()
        .map(|end| {
            let output = run_with_input(&["read", "-", "--alerts"], &file[..*end]);
            assert_eq!(output.status.code(), Some(0), "whole frames up to {end}: {}", stderr(&output));
            stdout(&output)
        })
        .collect();
    assert_eq!(whole.first().map(String::as_str), Some(""));
    assert_eq!(*whole.last().unwrap(), alerts(NAME));
    assert!(whole.iter().any(|alerts| !alerts.is_empty() && alerts != whole.last().unwrap()));

    let check = |cut: usize| {
        if boundaries.contains(&cut) {
            return;
        }
        let output = run_with_input(&["read", "-", "--alerts"], &file[..cut]);
        let (before, offset) = match boundaries.iter().rposition(|start| *start < cut) {
            Some(index) => (whole[index].as_str(), boundaries[index]),
            None => ("", 0),
        };
        assert_eq!(stdout(&output), before, "cut at {cut}");
        let (code, message) = failure(&output);
        assert_eq!(code, 1, "cut at {cut}");
        let reason = if cut == 0 { "the file is empty" } else { "the file is cut off here: " };
        let expected = format!("sentinel: standard input: offset {offset}: {reason}");
        assert!(message.starts_with(&expected), "cut at {cut}: {message}");
        assert_eq!(message.lines().count(), 1, "cut at {cut}: {message}");
    };
    let length = file.len();
    std::thread::scope(|scope| {
        for share in 0..4 {
            let check = &check;
            scope.spawn(move || (0..length).filter(|cut| cut % 4 == share).for_each(check));
        }
    });
}

#[test]
fn a_file_that_is_no_capture_fails_with_place_and_reason() {
    let directory = tempfile::tempdir().unwrap();
    let records = records(&capture("port-scan-at"));
    let mut too_long = pcap(&records, Order::Little, true, 1);
    too_long[24 + 8..24 + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut version = pcap(&records, Order::Little, true, 1);
    version[4] = 9;
    let mut unaligned = pcapng(&records, Order::Big, true);
    unaligned[7] += 1;
    for (name, bytes, expected) in [
        ("empty.pcap", &b""[..], "offset 0: the file is empty"),
        (
            "text.pcap",
            b"GET / HTTP/1.1\r\n\r\n and more bytes",
            "offset 0: not a capture file (it begins with 47455420)",
        ),
        (
            "packed.pcap",
            b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "offset 0: this is a gzip file",
        ),
        ("wifi.pcap", &pcap(&records, Order::Big, false, 105), "offset 20: link type "),
        ("long.pcap", &too_long, "offset 24: record says 4294967295 bytes, more than the "),
        ("version.pcap", &version, "offset 0: format version 9.4 is not known"),
        ("unaligned.pcapng", &unaligned, "offset 0: block says 29 bytes, not a multiple of 4"),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let output = run(&["read", path.to_str().unwrap(), "--alerts"]);
        let (code, message) = failure(&output);
        assert_eq!(code, 1, "{name}");
        assert_eq!(stdout(&output), "", "{name}");
        assert!(
            message.starts_with(&format!("sentinel: {}: {expected}", path.display())),
            "{name}: {message}"
        );
    }
    let absent = directory.path().join("absent.pcap");
    let (code, message) = failure(&run(&["read", absent.to_str().unwrap()]));
    assert_eq!(code, 1);
    assert!(message.starts_with(&format!("sentinel: {}: No such file", absent.display())), "{message}");
}

/// Damage in the middle: the alerts before it are printed, as `tcpdump -r` prints packets.
#[test]
fn alerts_before_a_damaged_record_are_printed() {
    let mut file = capture("arp-spoof-both-ways");
    let boundaries = boundaries(&file);
    let last = boundaries[boundaries.len() - 2];
    file[last + 8..last + 12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let output = run_with_input(&["read", "-", "--alerts"], &file);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).lines().any(|line| line.contains("\"phase\":\"open\"")));
    assert!(stderr(&output).contains(&format!("offset {last}: record says 2147483647 bytes")));
}

#[test]
fn wrong_usage_names_the_fault_and_the_help() {
    let file = golden().join("arp-probe.pcap");
    let file = file.to_str().unwrap();
    for (words, expected) in [
        (&["frobnicate"][..], "unknown command 'frobnicate'"),
        (&[], "no command given"),
        (&["read"], "read: want a file"),
        (&["read", file, "--frobnicate"], "--frobnicate"),
        (&["read", file, "--watch"], "option --watch is not supported"),
        (&["read", file, "--alerts", "--count-only"], "does not go with another view"),
        (&["read", file, "--protocol", "pigeon"], "protocol 'pigeon' is not one of tcp, udp"),
        (&["read", file, "--ip", "10.0.0"], "'10.0.0' is not an IPv4 or IPv6 address"),
        (&["read", file, "--port", "65536"], "port '65536' is not a number from 0 to 65535"),
        (&["read", file, "--seed", "x"], "--seed x: want a whole number"),
        (&["read", file, "--port"], "--port"),
        (&["read", file, "--json", "--records"], "does not go with another view"),
        (&["read", file, "--alerts=xml"], "--alerts=xml: want json or text"),
        (&["read", file, "--color", "red"], "--color red: want auto, always or never"),
        (&["read", file, "-c", "few"], "--count few: want a whole number"),
        (&["read", file, "-t", "soon"], "--duration soon: want seconds"),
        (&["read", file, "-x", "--alerts"], "--hex goes with lines and --json only"),
        (&["read", file, "-C", "1"], "--rotate-size goes with --write only"),
        (&["read", file, "-w", "x", "-W", "3"], "--rotate-count goes with --rotate-size or --rotate-seconds"),
        (&["read", file, "-w", "-", "-C", "1"], "standard output is one file"),
        (&["read", file, "-w", "-", "--json"], "the packets take standard output"),
        (&["read", file, "-w", "x%Q", "-G", "1"], "%Q is not known"),
        (&["read", file, "-w", "x", "--format", "snoop"], "--format snoop: want pcap or pcapng"),
        (&["read", file, "-w", file], "this is the file that is read"),
        (&["read", file, "-B", "64"], "option --buffer-size is not supported"),
        (&["capture", "-i", "lo", "-B", "3"], "--buffer-size 3: want 64 to "),
        (&["replay"], "replay: want a file"),
        (&["replay", file], "replay: want -i INTERFACE, or --display-only"),
        (&["replay", file, "-i", "a", "-i", "b"], "replay: want one interface"),
        (&["replay", file, "-i", "lo", "--speed", "-1"], "--speed -1: want a factor"),
        (&["explain"], "explain: want the number of a record"),
        (&["explain", "1:2:3"], "explain: want the number of a record"),
        (&["tune", "--set", "port_scan.ports=9"], "tune: want either a file"),
        (&["tune", "--last", "1w", "--set", "port_scan.ports=9"], "--last 1w: want a span"),
        (&["tune", file], "tune: want --set with the change"),
        (&["selftest", "x"], "selftest: unexpected 'x'"),
        (&["rpcd"], "rpcd: want list, or call status, alerts, check or interfaces"),
        (&["rpcd", "call", "reboot"], "rpcd: want list, or call"),
        (&["rpcd", "call", "status", "x"], "rpcd: unexpected 'x'"),
        (&["log", "burn"], "log: want list, show, verify, export or evidence-keygen"),
        (&["log", "evidence-keygen"], "log evidence-keygen: want the FILE for the private key"),
        (&["log", "verify", "--head", "1:2"], "a head is NUMBER:EPOCH:CHAIN"),
        (&["log", "show", "--head", &format!("1:2:{}", "0".repeat(64))], "--head goes with verify only"),
        (&["config"], "config: want check, show or docs"),
        (&["enroll"], "enroll: want a token"),
        (&["run", "--set", "interface"], "want [SECTION.]NAME=VALUE"),
    ] {
        let (code, message) = failure(&run(words));
        assert_eq!(code, 2, "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert!(message.ends_with("Try 'sentinel --help'.\n"), "{words:?}: {message}");
    }
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in [
        "run",
        "capture",
        "read",
        "replay",
        "filter",
        "status",
        "enroll",
        "log",
        "explain",
        "tune",
        "config",
        "interfaces",
        "rpcd",
        "selftest",
    ] {
        assert!(stdout(&help).contains(&format!("sentinel {command}")), "{command}");
        let own = run(&[command, "--help"]);
        assert!(stdout(&own).contains("Options of every command:"), "{command}");
    }
    assert_eq!(stdout(&run(&["--version"])), format!("sentinel {}\n", env!("CARGO_PKG_VERSION")));
}

/// Counted from the bytes, for plain Ethernet, IPv4 without options and IPv6 without extension headers.
fn count(records: &[Record], passes: impl Fn(u8, &[u8]) -> bool) -> String {
    let passing = records.iter().filter(|record| match record.bytes.get(12..14) {
        Some([0x08, 0x00]) => passes(record.bytes[23], &record.bytes[34..]),
        Some([0x86, 0xdd]) => passes(record.bytes[20], &record.bytes[54..]),
        _ => false,
    });
    format!("{}\n", passing.count())
}

#[test]
fn count_only_counts_the_packets_that_match() {
    let path = golden().join("attack-mix.pcap");
    let records = records(&fs::read(&path).unwrap());
    let counted = |words: &[&str]| {
        let output = run(&[&["read", path.to_str().unwrap(), "--count-only"][..], words].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
        stdout(&output)
    };
    assert_eq!(counted(&[]), format!("{}\n", records.len()));
    let tcp = count(&records, |protocol, _| protocol == 6);
    let udp = count(&records, |protocol, _| protocol == 17);
    assert_eq!(counted(&["--protocol", "tcp"]), tcp);
    assert_eq!(counted(&["--protocol", "udp"]), udp);
    let arp = records.iter().filter(|record| record.bytes[12..14] == [0x08, 0x06]).count();
    assert_eq!(counted(&["--protocol", "arp"]), format!("{arp}\n"));
    let is_ssh = |transport: &[u8]| [&transport[..2], &transport[2..4]].contains(&&22_u16.to_be_bytes()[..]);
    let ssh = count(&records, |protocol, transport| matches!(protocol, 6 | 17) && is_ssh(transport));
    assert_ne!(ssh, "0\n");
    assert_eq!(counted(&["--port", "22"]), ssh);
    assert_eq!(counted(&["--port", "22", "--protocol", "tcp"]), ssh);
    assert_eq!(counted(&["--port", "22", "--protocol", "udp"]), "0\n");
    assert_eq!(counted(&["--ip", "198.51.100.199"]), "0\n");
    // An expression in tcpdump's language, after the file or as an option, alone and with simple filters.
    assert_eq!(counted(&["tcp"]), tcp);
    assert_eq!(counted(&["port", "22"]), ssh);
    assert_eq!(counted(&["--filter", "tcp dst port 22 or tcp src port 22"]), ssh);
    assert_eq!(counted(&["tcp or udp", "--port", "22"]), ssh);
    assert_eq!(counted(&["udp", "--port", "22"]), "0\n");
    // An address out of the capture itself.
    let first = records.iter().find(|record| record.bytes[12..14] == [0x08, 0x00]).unwrap();
    let address: [u8; 4] = first.bytes[26..30].try_into().unwrap();
    let with_address = records
        .iter()
        .filter(|record| match record.bytes[12..14] {
            [0x08, 0x00] => record.bytes[26..30] == address || record.bytes[30..34] == address,
            [0x08, 0x06] => record.bytes[28..32] == address || record.bytes[38..42] == address,
            _ => false,
        })
        .count();
    let text = std::net::Ipv4Addr::from(address).to_string();
    assert_eq!(counted(&["--ip", &text]), format!("{with_address}\n"));
}

#[test]
fn the_detectors_get_only_packets_that_match() {
    let path = golden().join("attack-mix.pcap");
    let output = run(&["read", path.to_str().unwrap(), "--alerts", "--protocol", "arp"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(!text.is_empty() && text.lines().all(|line| line.contains("\"kind\":\"arp_spoof\"")), "{text}");
}

#[test]
fn names_are_classified_line_by_line() {
    let names = b"www.wikipedia.org\n\n  xkqjvhwzrtplmnqd.com \r\nexample";
    let output = run_with_input(&["classify", "-"], names);
    let rows: Vec<Vec<String>> =
        stdout(&output).lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    let classes: Vec<(&str, &str)> = rows.iter().map(|row| (row[0].as_str(), row[2].as_str())).collect();
    assert_eq!(
        classes,
        [("www.wikipedia.org", "benign"), ("xkqjvhwzrtplmnqd.com", "dga"), ("example", "benign")]
    );
    let scores: Vec<i32> = rows.iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(scores[0] < 0 && scores[1] > 100, "{scores:?}");
    assert_eq!(failure(&run_with_input(&["classify", "-"], &[b'x'; 2_000])).0, 1);
    assert_eq!(failure(&run_with_input(&["classify", "-"], b"\xff\n")).0, 1);
    assert_eq!(failure(&run(&["classify"])).0, 2);
    assert_eq!(failure(&run(&["classify", "/nonexistent"])).0, 1);
}

#[test]
fn a_filter_is_printed_in_each_format() {
    for (words, expected) in [
        (
            &["arp"][..],
            "(000) ldh      [12]\n(001) jeq      #0x806           jt 2\tjf 3\n(002) ret      #262144\n(003) ret      #0\n",
        ),
        (&["arp", "-ddd"], "4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n"),
        (&["-dd", "--link", "RAW", "icmp6 or ip6"], "{ 0x30, 0, 0, 0x00000000 },\n"),
    ] {
        let output = run(&[&["filter"], words].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
        assert!(stdout(&output).starts_with(expected), "{}", stdout(&output));
    }
}

#[test]
fn a_wrong_filter_is_marked_at_its_column() {
    let file = golden().join("port-scan-at.pcap");
    for words in [&["filter", "tcp", "port"][..], &["read", "--alerts", file.to_str().unwrap(), "tcp port"]] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("column 9"), "{text}");
        assert_eq!((lines[1], lines[2]), ("    tcp port", "            ^"));
    }
    let output = run(&["read", file.to_str().unwrap(), "tcp", "-f", "udp"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn standard_input_gives_the_output_of_the_file() {
    for name in ["port-scan-at", "dns-tunnel-data"] {
        let output = run_with_input(&["read", "-", "--alerts"], &capture(name));
        assert_eq!((output.status.code(), stdout(&output)), (Some(0), alerts(name)), "{name}");
    }
    let output = run_with_input(&["read", "-", "--count-only"], &capture("port-scan-at"));
    assert_eq!(stdout(&output), "30\n");
}

#[test]
fn text_alerts_are_lines_with_a_summary() {
    let output = run(&["read", golden().join("port-scan-at.pcap").to_str().unwrap(), "--alerts=text"]);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), alerts("port-scan-at").lines().count());
    assert!(
        text.starts_with("2023-11-14T22:13:2") && text.contains(" medium   port_scan       open "),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "no colours into a pipe");
    let summary = stderr(&output);
    for line in ["30 packets captured", "0 packets filtered", "30 packets analysed", "0 packets malformed"] {
        assert!(summary.lines().any(|found| found == line), "{line}: {summary}");
    }
}

#[test]
fn records_are_one_object_for_each_message() {
    let output = run(&["read", golden().join("dns-tunnel-data.pcap").to_str().unwrap(), "--records"]);
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 80, "40 queries and 40 answers");
    assert!(lines.iter().all(|line| line["record"] == "dns" && line["query"].is_string()));
    assert_eq!(lines.iter().filter(|line| line["response"] == true).count(), 40);
}

/// `sentinel read x | head`: the reader has closed the pipe before the first byte. No message, success.
#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    for view in [
        &["--records"][..],
        &["--alerts"],
        &["--count-only"],
        &["--json"],
        &["-x"],
        &["--stats"],
        &["-w", "-"],
        &[],
    ] {
        let mut child = sentinel()
            .args(["read", "-"])
            .args(view)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let file = capture("attack-mix");
        let mut stdin = child.stdin.take().unwrap();
        let _may_stop_reading = stdin.write_all(&file);
        drop(stdin);
        let mut message = String::new();
        child.stderr.take().unwrap().read_to_string(&mut message).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{view:?}: {message}");
        assert!(!message.contains("roken pipe") && !message.contains("panick"), "{view:?}: {message}");
    }
}

/// Words that give a command its own directories.
fn directories(root: &Path) -> Vec<String> {
    let [state, run] = ["state_dir", "run_dir"].map(|name| format!("{name}={}", root.join(name).display()));
    ["--set".into(), state, "--set".into(), run].into()
}

#[test]
fn an_unknown_interface_fails_with_the_existing_ones() {
    let directory = tempfile::tempdir().unwrap();
    let output = sentinel()
        .args(["run", "--no-wait", "-i", "no-such-wire"])
        .args(directories(directory.path()))
        .output()
        .unwrap();
    let (code, message) = failure(&output);
    assert_eq!(code, 1, "{message}");
    let listed = message.strip_prefix("sentinel: interface 'no-such-wire' does not exist; there are: ");
    let listed: Vec<&str> = listed.unwrap_or_else(|| panic!("{message}")).trim().split(", ").collect();
    let table = stdout(&run(&["interfaces"]));
    let table: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, table);
    assert!(listed.contains(&"lo"), "{message}");
}

/// Without permission to capture, the message names the missing capability.
#[test]
fn without_permission_the_capability_is_named() {
    const NOBODY: u32 = 65_534;
    let identity = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "id", "-u"])
        .output();
    if !identity.is_ok_and(|output| output.stdout == b"65534\n") {
        let message = "without_permission_the_capability_is_named: SKIPPED, needs root and setpriv\n";
        std::io::stderr().write_all(message.as_bytes()).unwrap();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // The built program may be in a directory that only this user can enter. Another process copies it: a child that a
    // parallel test forks would inherit the descriptor of a file written here, and executing that file would fail (ETXTBSY).
    let program = directory.path().join("sentinel");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_sentinel")).arg(&program).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]);
    let mut copy = Command::new(&program);
    copy.args(["--config", "/dev/null", "run", "-i", "lo"]);
    let output = wrapped(setpriv, &copy)
        .args(directories(directory.path()))
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (code, message) = failure(&output);
    assert_eq!(code, 1, "{message}");
    assert!(message.contains("CAP_NET_RAW"), "{message}");
    assert!(message.contains("interface 'lo'"), "{message}");
}

#[test]
fn config_check_names_file_line_and_allowed_values() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings");
    let check = |text: &str| {
        fs::write(&path, text).unwrap();
        run(&["config", "check", path.to_str().unwrap()])
    };
    let good = check("config sentinel 'main'\n\toption ring_kib '2048'\n");
    assert_eq!(good.status.code(), Some(0), "{}{}", stdout(&good), stderr(&good));
    let bad = check(
        "config sentinel 'main'\n\toption ring_kb '2048'\n\toption memory_kib 'much'\n\n\
         config detector 'port_scan'\n\toption ports '1'\n",
    );
    assert_eq!(bad.status.code(), Some(1));
    let text = stdout(&bad) + &stderr(&bad);
    let at = |line: &str| format!("{}:{line}:", path.display());
    for (place, what) in [("2", "ring_kib"), ("3", "memory_kib"), ("6", "ports")] {
        let found = text.lines().find(|line| line.starts_with(&at(place)));
        assert!(found.is_some_and(|line| line.contains(what)), "line {place}, {what}: {text}");
    }
    assert!(text.contains("3 problems"), "{text}");
    // Every command fails with such a file, with the same messages.
    let read = sentinel()
        .args(["--config", path.to_str().unwrap(), "read", golden().join("arp-probe.pcap").to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(read.status.code(), Some(1));
    assert!(stderr(&read).contains(&at("2")), "{}", stderr(&read));
    let flag = run(&["config", "check", path.to_str().unwrap(), "--set", "ring_kib=lots"]);
    assert!((stdout(&flag) + &stderr(&flag)).contains("--set ring_kib"), "{}", stdout(&flag));
}

/// `command` on a system with this settings file: `/etc` is an otherwise empty file system in a mount namespace of its own.
fn with_system_settings(text: &str, command: &Command) -> Command {
    let script = "mount -t tmpfs tmpfs /etc && mkdir /etc/config \
                  && printf %s \"$0\" >/etc/config/sentinel-appliance && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-c", script, text]);
    wrapped(unshare, command)
}

/// Golden checks rely on this: their results must not depend on the system that they run on.
#[test]
fn the_system_settings_file_is_not_read_if_another_is_named() {
    const NAME: &str = "port-scan-at";
    const OTHER_THRESHOLD: &str =
        "config detector 'port_scan'\n\toption ports '64'\n\toption failed_contacts '64'\n";
    const BROKEN: &str = "config detector 'port_scan'\n\toption ports 'many'\n";
    if !with_system_settings("", &Command::new("true")).output().is_ok_and(|output| output.status.success()) {
        let message =
            "the_system_settings_file_is_not_read_if_another_is_named: SKIPPED, needs root and unshare\n";
        std::io::stderr().write_all(message.as_bytes()).unwrap();
        return;
    }
    let path = golden().join(format!("{NAME}.pcap"));
    let read = |system_settings: &str, mut program: Command| {
        program.args(["read", path.to_str().unwrap(), "--alerts"]);
        let output = with_system_settings(system_settings, &program).output().unwrap();
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let program = || Command::new(env!("CARGO_BIN_EXE_sentinel"));
    let without_file = || {
        let mut command = program();
        command.args(["--config", "/dev/null"]);
        command
    };

    // Without --config the file is read; otherwise the rest of this test would prove nothing.
    assert_eq!(read(OTHER_THRESHOLD, program()), (Some(0), String::new(), String::new()));
    let (code, _, message) = read(BROKEN, program());
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("/etc/config/sentinel-appliance:2:"), "{message}");
    for system_settings in [OTHER_THRESHOLD, BROKEN] {
        for named in [without_file(), sentinel()] {
            assert_eq!(read(system_settings, named), (Some(0), alerts(NAME), String::new()));
        }
    }
}

/// One wrong character anywhere in a token is detected before anything is sent or written.
#[test]
fn a_token_with_a_typo_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let collector = KeyPair::generate().unwrap();
    let token = Token::generate("192.0.2.7:7443", collector.public()).unwrap().to_string();
    for at in (0..token.len()).step_by(7) {
        let mut typo = token.clone().into_bytes();
        typo[at] = if typo[at] == b'a' { b'b' } else { b'a' };
        let typo = String::from_utf8(typo).unwrap();
        let output = sentinel().args(["enroll", &typo]).args(directories(directory.path())).output().unwrap();
        let (code, message) = failure(&output);
        assert_eq!(code, 1, "{typo}: {message}");
        assert!(message.starts_with("sentinel: token: "), "{typo}: {message}");
    }
    // From a file and from standard input as well.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), token.replace('a', "b")).unwrap();
    let by_file = ["enroll", "--token-file", file.path().to_str().unwrap()];
    for words in [&by_file[..], &["enroll", "-"]] {
        let input = fs::File::open(file.path()).unwrap();
        let output =
            sentinel().args(words).args(directories(directory.path())).stdin(input).output().unwrap();
        let (code, message) = failure(&output);
        assert_eq!(code, 1, "{words:?}: {message}");
        assert!(message.starts_with("sentinel: token: "), "{words:?}: {message}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is written for a wrong token");
}

#[test]
fn commands_to_a_sensor_fail_without_one() {
    let directory = tempfile::tempdir().unwrap();
    for words in [&["status"][..], &["log", "list"]] {
        let output = sentinel().args(words).args(directories(directory.path())).output().unwrap();
        let (code, message) = failure(&output);
        assert_eq!(code, 1, "{words:?}: {message}");
        assert!(message.contains(directory.path().to_str().unwrap()), "{words:?}: {message}");
    }
}

/// Every check passes, and the last line has their number.
#[test]
fn the_self_test_passes() {
    let output = run(&["selftest"]);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let text = stdout(&output);
    let (total, checks) =
        text.lines().collect::<Vec<_>>().split_last().map(|(last, rest)| (*last, rest.len())).unwrap();
    assert!(total.starts_with(&format!("{checks}/{checks} passed in ")), "{text}");
}

/// A threshold above what the capture has removes its alert, one below adds the alert that the default does not raise.
#[test]
fn tune_tells_which_alerts_a_change_adds_and_removes() {
    let tune = |name: &str, change: &str, more: &[&str]| {
        let file = golden().join(format!("{name}.pcap"));
        let output = run(&[&["tune", file.to_str().unwrap(), "--set", change], more].concat());
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
        stdout(&output)
    };
    let removed = tune("icmp-flood-at", "icmp_flood.packets=101", &[]);
    assert!(removed.starts_with("removed  2023"), "{removed}");
    assert!(
        removed.ends_with("1 incident before, 0 after: 1 removed, 0 added, 0 of another severity\n"),
        "{removed}"
    );
    let added = tune("icmp-flood-below", "icmp_flood.packets=99", &["--json"]);
    assert!(added.starts_with("{\"change\":\"added\",\"time\":") && added.lines().count() == 1, "{added}");
    let other = tune("icmp-flood-at", "icmp_flood.severity=high", &[]);
    assert!(other.starts_with("severity 2023") && other.contains(" high     icmp_flood"), "{other}");
    let same = tune("icmp-flood-at", "icmp_flood.packets=99", &[]);
    assert_eq!(same, "1 incident before, 1 after: 0 removed, 0 added, 0 of another severity\n");
}

/// `nohup sentinel read - &` died at log-out: SIGHUP, ignored by the parent, was caught again.
#[test]
fn a_hang_up_that_was_ignored_at_the_start_stays_ignored() {
    for (ignores, expected) in [(true, 2), (false, 1)] {
        let file = pcap(&records(&capture("port-scan-at"))[..2], Order::Little, true, 1);
        let second = boundaries(&file)[1];
        let mut shell = Command::new("sh");
        shell.args(["-c", if ignores { "trap '' HUP; exec \"$@\"" } else { "exec \"$@\"" }, "sh"]);
        let mut program = sentinel();
        program.args(["read", "-"]);
        let mut child = wrapped(shell, &program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        input.write_all(&file[..second]).unwrap();
        // The first line is flushed when the program waits for more: then signals are caught.
        let mut first = vec![0; 1];
        output.read_exact(&mut first).unwrap();
        let killed = Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        if !ignores {
            // Else a poll that finds both the signal and the bytes may return for the bytes.
            assert!(child.wait().unwrap().success());
        }
        let _ended_already = input.write_all(&file[second..]);
        drop(input);
        let mut text = String::from_utf8(first).unwrap();
        output.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(text.lines().count(), expected, "ignored at the start: {ignores}: {text}");
    }
}

/// A typo took these away although the sensor runs on with the settings from before.
#[test]
fn a_typo_in_the_settings_leaves_status_ctl_and_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings");
    let (state, run_dir) = (directory.path().join("state"), directory.path().join("run"));
    let text = format!(
        "config sentinel 'main'\n\toption run_dir '{}'\n\toption ring_kb 'x'\n\toption state_dir '{}'\n",
        run_dir.display(),
        state.display()
    );
    fs::write(&path, text).unwrap();
    let program = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sentinel"));
        command.arg("--config").arg(&path).args(words).output().unwrap()
    };
    let no_sensor = format!("sentinel: {}/", run_dir.display());
    let no_log = format!("sentinel: {}/", state.display());
    for (words, expected) in [
        (&["status"][..], &no_sensor),
        (&["status", "--json"], &no_sensor),
        (&["ctl", "stop"], &no_sensor),
        (&["log", "list"], &no_log),
    ] {
        let output = program(words);
        let text = stderr(&output);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((output.status.code(), lines.len()), (Some(1), 2), "{words:?}: {text}");
        assert!(lines[0].contains("settings:3:") && lines[0].contains("ring_kb"), "{words:?}: {text}");
        assert!(lines[1].starts_with(expected.as_str()), "{words:?}: {text}");
    }
    // A flag is corrected by whoever gives it, and a file that cannot be read leaves the defaults.
    let output = program(&["status", "--set", "run_dir=x"]);
    assert!(stderr(&output).contains("--set run_dir") && !stderr(&output).contains("no sensor"));
    fs::remove_file(&path).unwrap();
    let text = stderr(&program(&["status"]));
    assert!(text.contains("cannot be read") && text.contains("/run/sentinel-appliance/"), "{text}");
}

/// `run` then ended with 1.
#[test]
fn config_check_reads_the_files_that_run_reads() {
    let directory = tempfile::tempdir().unwrap();
    let (path, list) = (directory.path().join("settings"), directory.path().join("ports.json"));
    let text = format!("config sentinel 'main'\n\toption suspicious_ports_file '{}'\n", list.display());
    fs::write(&path, text).unwrap();
    let check = || {
        let output = run(&["config", "check", path.to_str().unwrap()]);
        (output.status.code(), stdout(&output), stderr(&output))
    };
    for (content, expected) in [
        (None, "No such file"),
        (Some("["), ""),
        (Some("{\"ports\":[{\"port\":70000}]}"), "entry 1 of \"ports\": port 70000 is not one of 1 to 65535"),
    ] {
        if let Some(content) = content {
            fs::write(&list, content).unwrap();
        }
        let (code, out, err) = check();
        let place = format!("{}:2:", path.display());
        assert_eq!(code, Some(1), "{content:?}: {out}");
        assert!(
            out.starts_with(&place) && out.contains("suspicious_ports_file") && out.contains(expected),
            "{out}"
        );
        assert_eq!(err, "sentinel: 1 problem in the settings\n");
    }
    fs::write(&list, "{\"ports\":[{\"port\":4444,\"protocol\":\"tcp\",\"name\":\"x\"}]}").unwrap();
    let (code, out, err) = check();
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    fs::write(&list, "{\"tor\":{\"exit_nodes\":[\"198.51.100.1\",\n\"198.51.100\"]}}").unwrap();
    fs::write(&path, format!("config sentinel 'main'\n\toption signatures_file '{}'\n", list.display()))
        .unwrap();
    let (code, out, _) = check();
    let expected = "line 2: tor.exit_nodes: \"198.51.100\": want an IP address, or a network";
    assert!(code == Some(1) && out.contains("signatures_file") && out.contains(expected), "{out}");
}

/// It came after totals of nothing, and left an empty capture file.
#[test]
fn a_wrong_filter_is_reported_before_anything_else() {
    let file = golden().join("port-scan-at.pcap");
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("out.pcap");
    for words in [
        &["read", file.to_str().unwrap(), "-w", to.to_str().unwrap(), "tcp port"][..],
        &["read", "/no/such/file", "tcp port"],
        &["capture", "-i", "no-such-wire", "tcp port"],
        &["replay", "/no/such/file", "--display-only", "tcp port"],
    ] {
        let output = run(words);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(
            text.starts_with("sentinel: filter: column 9") && text.lines().count() == 3,
            "{words:?}: {text}"
        );
        assert!(!to.exists(), "{words:?}");
    }
    let text = stderr(&run(&["read", file.to_str().unwrap(), "-f", "dns"]));
    assert!(text.ends_with("'dns' is no word of this language; want --protocol dns\n"), "{text}");
}

#[test]
fn help_is_a_command_too() {
    assert_eq!(stdout(&run(&["help"])), stdout(&run(&["--help"])));
    assert_eq!(stdout(&run(&["help", "read"])), stdout(&run(&["read", "--help"])));
}

/// Service managers restart a sensor at once, so a wrong setting would have it start hundreds of times a minute.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test measures how long the program takes")]
fn a_supervised_sensor_that_fails_at_once_waits_before_it_exits() {
    for (is_supervised, least) in [(true, Duration::from_secs(2)), (false, Duration::ZERO)] {
        let mut command = sentinel();
        command.args(["run", "--set", "workers=99"]).env_remove("NOTIFY_SOCKET");
        if is_supervised {
            command.env("NOTIFY_SOCKET", "/no/such/socket");
        }
        let start = Instant::now();
        let output = command.output().unwrap();
        let took = start.elapsed();
        assert!(failure(&output).1.contains("workers"), "{output:?}");
        assert!(took >= least && took < least + Duration::from_secs(2), "{took:?}");
    }
}
