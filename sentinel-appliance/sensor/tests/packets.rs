//! Packets as lines, objects and dumps; limits, files, statistics. No network.
//!
//! After an intended change: `GOLDEN_BLESS=1 cargo test -p sentinel-appliance --test packets`, and state the reason in
//! the commit.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{Order, Record, golden, pcap, pcapng, records, run, run_with_input, sentinel, stderr, stdout};

/// Small captures that between them have ARP, ICMP, DNS, TCP, UDP, IPv6 with extension headers, tags, `PPPoE`, and more.
const SHOWN: [&str; 9] = [
    "arp-spoof-vlan",
    "arp-vrrp",
    "dns-content-network",
    "dns-tunnel-tcp-above",
    "dns-tunnel-ipv6",
    "port-scan-extensions",
    "port-scan-pppoe",
    "port-scan-qinq",
    "suspicious-port-inside",
];

fn file(name: &str) -> String {
    golden().join(format!("{name}.pcap")).to_str().unwrap().to_owned()
}

fn good(words: &[&str]) -> Output {
    let output = run(words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", stderr(&output));
    output
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lines_and_objects_match_the_committed_ones() {
    let directory = golden().with_file_name("packets");
    let mut wrong = Vec::new();
    for name in SHOWN {
        for (words, extension) in [(&[][..], "lines.txt"), (&["--json"], "packets.ndjson")] {
            let now = stdout(&good(&[&["read", &file(name)], words].concat()));
            let path = directory.join(format!("{name}.{extension}"));
            if std::env::var_os("GOLDEN_BLESS").is_some() {
                fs::write(&path, &now).unwrap();
            }
            if fs::read_to_string(&path).unwrap_or_default() != now {
                wrong.push(path);
            }
        }
    }
    assert!(wrong.is_empty(), "run with GOLDEN_BLESS=1 if this is meant: {wrong:?}");
}

#[test]
fn every_packet_is_one_line_and_one_object_with_the_same_summary() {
    for name in SHOWN.into_iter().chain(["bad", "attack-mix"]) {
        let packets = records(&fs::read(file(name)).unwrap());
        let lines = stdout(&good(&["read", &file(name)]));
        let found = objects(&stdout(&good(&["read", &file(name), "--json"])));
        assert_eq!((lines.lines().count(), found.len()), (packets.len(), packets.len()), "{name}");
        for ((line, object), record) in lines.lines().zip(&found).zip(&packets) {
            assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name}: {line}");
            let word = |field: &str| object[field].as_str().unwrap_or("?").to_owned();
            let time = word("time").replace('T', " ").replace('Z', "");
            let expected = format!(
                "{time} - {} {} -> {} {}",
                word("protocol"),
                word("src"),
                word("dst"),
                word("summary")
            );
            assert_eq!(line, expected, "{name}");
            assert_eq!(object["wire_bytes"], record.wire_len, "{name}: {object}");
            assert_eq!(object["captured_bytes"], record.bytes.len(), "{name}: {object}");
        }
    }
}

/// Ethernet, IPv4 from 192.0.2.1 to 192.0.2.2 with that protocol and fragment field, and what it carries.
fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let length = u16::try_from(20 + payload.len()).unwrap();
    frame.extend([0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0x12, 0x34]);
    frame.extend(fragment.to_be_bytes());
    frame.extend([64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame.extend(payload);
    frame
}

/// A segment with PSH and ACK.
fn tcp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    ipv4(6, 0, &segment)
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram = [source, destination, length, 0].map(u16::to_be_bytes).concat();
    datagram.extend(payload);
    ipv4(17, 0, &datagram)
}

/// A TLS 1.3 client hello for `www.example.com`.
fn client_hello() -> Vec<u8> {
    let name = b"www.example.com";
    let length = u8::try_from(name.len()).unwrap();
    let mut extensions = vec![0, 0, 0, length + 5, 0, length + 3, 0, 0, length];
    extensions.extend(name);
    extensions.extend([0, 43, 0, 3, 2, 3, 4]); // supported versions: TLS 1.3
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]); // no session, one suite, no compression
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut hello = vec![1, 0];
    hello.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    hello.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(hello.len()).unwrap().to_be_bytes());
    record.extend(hello);
    record
}

/// A DHCP acknowledgement of 192.0.2.9 for 02:00:00:00:00:07.
fn dhcp() -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[16..20].copy_from_slice(&[192, 0, 2, 9]);
    message[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 7]);
    message[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, 5, 255]);
    message
}

fn capture_of(frames: &[Vec<u8>]) -> Vec<u8> {
    let record = |bytes: &Vec<u8>| Record {
        seconds: 1_747_305_001,
        nanos: 123_456_789,
        wire_len: u32::try_from(bytes.len()).unwrap(),
        bytes: bytes.clone(),
    };
    pcap(&frames.iter().map(record).collect::<Vec<_>>(), Order::Little, true, 1)
}

#[test]
fn a_line_has_the_summary_of_the_packet() {
    let pairs = [
        (tcp(12345, 80, b""), "TCP 192.0.2.1 -> 192.0.2.2 12345 -> 80 [PSH, ACK]"),
        (tcp(12345, 81, b"abc"), "TCP 192.0.2.1 -> 192.0.2.2 12345 -> 81 [PSH, ACK] len 3"),
        (
            tcp(12345, 80, b"GET /a?b HTTP/1.1\r\nHost: example.com\r\n\r\n"),
            "HTTP 192.0.2.1 -> 192.0.2.2 12345 -> 80 GET /a?b example.com",
        ),
        (
            tcp(8080, 12345, b"HTTP/1.1 404 Not Found\r\n\r\n"),
            "HTTP 192.0.2.1 -> 192.0.2.2 8080 -> 12345 404 Not Found",
        ),
        (
            tcp(12345, 8443, &client_hello()),
            "TLS 192.0.2.1 -> 192.0.2.2 12345 -> 8443 ClientHello www.example.com TLS 1.3",
        ),
        (
            tcp(443, 12345, &[23, 3, 3, 0, 2, 9, 9]),
            "TLS 192.0.2.1 -> 192.0.2.2 443 -> 12345 ApplicationData len 7",
        ),
        (tcp(443, 12345, &[1, 2, 3]), "HTTPS 192.0.2.1 -> 192.0.2.2 443 -> 12345 data len 3"),
        (
            tcp(22, 12345, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
            "SSH 192.0.2.1 -> 192.0.2.2 22 -> 12345 SSH-2.0-OpenSSH_9.2p1 Debian-2",
        ),
        (
            tcp(12345, 80, b"GET /\x9b\xe2\x80\xae HTTP/1.1\r\nHost: a\x1b[2Jb\r\n\r\n"),
            "HTTP 192.0.2.1 -> 192.0.2.2 12345 -> 80 GET /\\x9b\\xe2\\x80\\xae a\\x1b[2Jb",
        ),
        (udp(1000, 2000, b"1234"), "UDP 192.0.2.1 -> 192.0.2.2 1000 -> 2000 len 4"),
        (
            udp(1000, 53, b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01"),
            "DNS 192.0.2.1 -> 192.0.2.2 1000 -> 53 example.com A",
        ),
        (
            udp(53, 1000, b"\0\x01\x81\x83\0\x01\0\0\0\0\0\0\x02no\x03com\0\0\x1c\0\x01"),
            "DNS 192.0.2.1 -> 192.0.2.2 53 -> 1000 no.com AAAA = NXDOMAIN",
        ),
        (
            udp(67, 68, &dhcp()),
            "DHCP 192.0.2.1 -> 192.0.2.2 67 -> 68 ACK yiaddr 192.0.2.9 chaddr 02:00:00:00:00:07",
        ),
        (
            udp(1000, 443, &[0xe3, 0, 0, 0, 1, 0, 0]),
            "QUIC 192.0.2.1 -> 192.0.2.2 1000 -> 443 Handshake version 0x1 len 7",
        ),
        (ipv4(17, 0x20b9, b"12345678"), "UDP 192.0.2.1 -> 192.0.2.2 len 8 fragment id 4660 offset 1480 more"),
        (ipv4(1, 0, &[3, 3, 0, 0, 0, 0, 0, 0]), "ICMP 192.0.2.1 -> 192.0.2.2 unreachable port"),
        (ipv4(89, 0, &[2, 1, 0, 0]), "OSPF 192.0.2.1 -> 192.0.2.2 len 4"),
        (ipv4(253, 0, &[0]), "IP 192.0.2.1 -> 192.0.2.2 protocol 253 len 1"),
        (
            ipv4(6, 0, &[0; 4]),
            "TCP 192.0.2.1 -> 192.0.2.2 len 4 malformed transport header: \
             length field disagrees with the bytes that are there",
        ),
        (
            [&[1, 0x80, 0xc2, 0, 0, 14, 2, 0, 0, 0, 0, 1, 0x88, 0xcc][..], &[0; 46]].concat(),
            "LLDP 02:00:00:00:00:01 -> 01:80:c2:00:00:0e ethertype 0x88cc, 60 bytes",
        ),
        (
            [&[1, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 38, 0x42, 0x42, 3][..], &[0; 43]].concat(),
            "STP 02:00:00:00:00:01 -> 01:80:c2:00:00:00 dsap 0x42 ssap 0x42, 60 bytes",
        ),
        (
            vec![2, 0, 0],
            "LINK ? -> ? 3 bytes malformed link header: length field disagrees with the bytes that are there",
        ),
    ];
    let frames: Vec<Vec<u8>> = pairs.iter().map(|(frame, _)| frame.clone()).collect();
    let output = run_with_input(&["read", "-"], &capture_of(&frames));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert_eq!(text.lines().count(), pairs.len());
    for (line, (_, expected)) in text.lines().zip(&pairs) {
        assert_eq!(line, format!("2025-05-15 10:30:01.123456 - {expected}"));
    }
}

#[test]
fn every_field_of_an_object_is_documented() {
    let reference = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("OUTPUT.md")).unwrap();
    let mut checked = 0;
    for name in SHOWN.into_iter().chain(["bad", "attack-mix"]) {
        for object in objects(&stdout(&good(&["read", &file(name), "--json", "-x"]))) {
            for field in object.as_object().unwrap().keys() {
                // Within backquotes, alone or with others.
                let word = |quoted: &str| quoted.split(' ').any(|word| word == field);
                assert!(reference.split('`').skip(1).step_by(2).any(word), "{name}: {field}");
                checked += 1;
            }
        }
    }
    assert!(checked > 10_000, "{checked}");
}

#[test]
fn a_link_type_that_is_not_parsed_is_shown() {
    let packets = records(&fs::read(file("arp-probe")).unwrap());
    let output = run_with_input(&["read", "-", "-c", "1"], &pcap(&packets, Order::Big, false, 105));
    let text = stdout(&output);
    assert!(text.ends_with("LINK ? -> ? link type 105, 60 bytes\n"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn colours_are_for_terminals_or_on_request() {
    let frames = [
        (tcp(1, 2, b""), Some(34)),
        (udp(1, 2, b""), Some(32)),
        (tcp(1, 80, b"GET / HTTP/1.1\r\n\r\n"), Some(36)),
        (tcp(1, 443, &client_hello()), Some(35)),
        (tcp(1, 443, b"x"), Some(35)),
        (udp(1, 53, &[0; 12]), Some(33)),
        (ipv4(1, 0, &[8, 0, 0, 0, 0, 0, 0, 0]), None),
    ];
    let bytes = capture_of(&frames.iter().map(|(frame, _)| frame.clone()).collect::<Vec<_>>());
    let coloured = stdout(&run_with_input(&["read", "-", "--color", "always"], &bytes));
    for (line, (_, colour)) in coloured.lines().zip(&frames) {
        match colour {
            Some(colour) => {
                assert!(
                    line.contains(&format!(" - \x1b[{colour}m")) && line.ends_with("\x1b[0m"),
                    "{line:?}"
                );
            }
            None => assert!(!line.contains('\x1b'), "{line:?}"),
        }
    }
    let plain = stdout(&run_with_input(&["read", "-", "--color", "auto"], &bytes));
    assert!(!plain.contains('\x1b'), "not into a pipe");
    assert_eq!(plain, stdout(&run_with_input(&["read", "-", "--color", "never"], &bytes)));
}

#[test]
fn a_dump_shows_the_whole_frame() {
    let text = stdout(&good(&["read", &file("arp-spoof-vlan"), "-x", "-c", "1"]));
    let expected = "2023-11-14 22:13:20.000000 - ARP 10.20.30.20 -> 10.20.30.1 who-has 10.20.30.1 tell \
                    10.20.30.20 vlan 100\n\
                    \t0x0000:  ffff ffff ffff 0200 0a14 1e14 8100 0064  ...............d\n\
                    \t0x0010:  0806 0001 0800 0604 0001 0200 0a14 1e14  ................\n\
                    \t0x0020:  0a14 1e14 0000 0000 0000 0a14 1e01 0000  ................\n\
                    \t0x0030:  0000 0000 0000 0000 0000 0000            ............\n";
    assert_eq!(text, expected);
    let object = &objects(&stdout(&good(&["read", &file("arp-spoof-vlan"), "-x", "--json", "-c", "1"])))[0];
    assert!(object["bytes"].as_str().unwrap().starts_with("ffffffffffff02000a141e1481000064"), "{object}");
}

#[test]
fn limits_end_the_reading() {
    let path = file("port-scan-at");
    let lines = |words: &[&str]| stdout(&good(&[&["read", &path], words].concat())).lines().count();
    assert_eq!([lines(&["-c", "7"]), lines(&["--count", "0"]), lines(&["-c", "99"])], [7, 30, 30]);
    assert_eq!(lines(&["-c", "3", "udp", "or", "tcp"]), 3);
    // By packet time: the packets within half a second of the first.
    let packets = records(&fs::read(&path).unwrap());
    let at = |record: &Record| u64::from(record.seconds) * 1_000_000_000 + u64::from(record.nanos);
    let within = packets.iter().filter(|record| at(record) - at(&packets[0]) < 500_000_000).count();
    assert!(within > 1 && within < packets.len());
    assert_eq!(lines(&["-t", "0.5"]), within);
    assert_eq!(lines(&["-t", "0"]), 30);
    // A snapshot that ends within the TCP header.
    let cut = stdout(&good(&["read", &path, "-s", "40", "-c", "1"]));
    assert!(cut.contains("malformed transport header: capture ends before the header does"), "{cut}");
    assert_eq!(stdout(&good(&["read", &path, "-c", "7", "--count-only"])), "7\n");
    let alerts = stdout(&good(&["read", &path, "--alerts", "-c", "3"]));
    assert_eq!(alerts, "", "three packets are no scan");
}

#[test]
fn saved_packets_equal_those_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = file("dns-content-network");
    let bytes = fs::read(&path).unwrap();
    for (name, words) in [("copy.pcap", &[][..]), ("copy.cap", &["--format", "pcap"])] {
        let copy = directory.path().join(name);
        let output = good(&[&["read", &path, "-w", copy.to_str().unwrap()], words].concat());
        assert_eq!(stdout(&output), "", "saving shows nothing");
        assert!(stderr(&output).contains("16 packets captured\n16 packets read\n"), "{}", stderr(&output));
        assert!(fs::read(&copy).unwrap() == bytes, "{name}");
    }
    let copy = directory.path().join("copy.pcapng");
    good(&["read", &path, "-w", copy.to_str().unwrap()]);
    assert_eq!(fs::read(&copy).unwrap()[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    let shown = stdout(&good(&["read", &path, "--json"]));
    assert_eq!(stdout(&good(&["read", copy.to_str().unwrap(), "--json"])), shown);
    // A view beside it, only what passes the filter, and only so much of each.
    let part = directory.path().join("part.pcap");
    let output =
        good(&["read", &path, "-w", part.to_str().unwrap(), "--json", "-s", "60", "src", "port", "53"]);
    let saved = records(&fs::read(&part).unwrap());
    assert_eq!((saved.len(), stdout(&output).lines().count()), (8, 8));
    assert!(saved.iter().all(|record| record.bytes.len() == 60 && record.wire_len > 60));
    assert_eq!(fs::read(&part).unwrap()[16..20], 60_u32.to_le_bytes(), "the snapshot length");
    // Both ways through pipes.
    let output = run_with_input(&["read", "-", "-w", "-"], &bytes);
    assert!(output.stdout == bytes, "{}", stderr(&output));
}

#[test]
fn frames_of_two_link_types_do_not_go_into_one_pcap_file() {
    let directory = tempfile::tempdir().unwrap();
    let packets = records(&fs::read(file("arp-probe")).unwrap());
    let one = pcapng(&packets[..2], Order::Little, true);
    let mut other = pcapng(&packets[2..3], Order::Little, true);
    // The link type stands behind the section header (28 bytes) and eight bytes of the interface's block.
    other[36..38].copy_from_slice(&101_u16.to_le_bytes());
    let both = directory.path().join("both.pcapng");
    fs::write(&both, [one, other].concat()).unwrap();
    let both = both.to_str().unwrap();
    let to = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let output = run(&["read", both, "-w", &to("out.pcap")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("link types EN10MB and RAW do not go into one pcap file"),
        "{}",
        stderr(&output)
    );
    assert_eq!(records(&fs::read(to("out.pcap")).unwrap()).len(), 2, "what came before is saved");
    good(&["read", both, "-w", &to("out.pcapng")]);
    let links = |path: &str| -> Vec<bool> {
        let found = objects(&stdout(&good(&["read", path, "--json"])));
        found.iter().map(|object| object["dst_mac"].is_string()).collect()
    };
    assert_eq!(links(&to("out.pcapng")), [true, true, false]);
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Packets of all files in the order of their names.
fn joined(directory: &Path, names: &[String]) -> Vec<Vec<u8>> {
    names
        .iter()
        .flat_map(|name| records(&fs::read(directory.join(name)).unwrap()))
        .map(|record| record.bytes)
        .collect()
}

#[test]
fn files_rotate_by_size_as_tcpdump_names_them() {
    let source = tempfile::tempdir().unwrap();
    let (path, packets) = large_capture(source.path(), 3_500);
    let bytes: Vec<Vec<u8>> = packets.iter().map(|record| record.bytes.clone()).collect();
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("trace");
    good(&["read", &path, "-w", to.to_str().unwrap(), "-C", "1"]);
    assert_eq!(names(directory.path()), ["trace", "trace1", "trace2", "trace3"]);
    assert_eq!(joined(directory.path(), &names(directory.path())), bytes);
    for name in ["trace", "trace1", "trace2"] {
        let length = fs::metadata(directory.path().join(name)).unwrap().len();
        assert!((1_000_001..1_002_000).contains(&length), "{name}: {length}");
    }
    // A ring of two: the first is overwritten by the third, the second by the fourth.
    let ring = tempfile::tempdir().unwrap();
    let to = ring.path().join("ring");
    good(&["read", &path, "-w", to.to_str().unwrap(), "-C", "1", "-W", "2"]);
    assert_eq!(names(ring.path()), ["ring0", "ring1"]);
    for (ours, theirs) in [("ring0", "trace2"), ("ring1", "trace3")] {
        let [ours, theirs] = [ring.path().join(ours), directory.path().join(theirs)];
        assert!(fs::read(ours).unwrap() == fs::read(theirs).unwrap());
    }
    // Leading zeros, so that names sort.
    let many = tempfile::tempdir().unwrap();
    good(&["read", &path, "-w", many.path().join("x").to_str().unwrap(), "-C", "1", "-W", "11"]);
    assert_eq!(names(many.path()), ["x00", "x01", "x02", "x03"]);
}

#[test]
fn files_rotate_by_the_time_of_the_packets() {
    let source = tempfile::tempdir().unwrap();
    // One packet each 100 ms from 2023-11-14 22:13:20 on.
    let (path, packets) = large_capture(source.path(), 95);
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("%Y%m%d-%H%M%S.pcap");
    good(&["read", &path, "-w", to.to_str().unwrap(), "-G", "4"]);
    let expected = ["20231114-221320.pcap", "20231114-221324.pcap", "20231114-221328.pcap"];
    assert_eq!(names(directory.path()), expected);
    let bytes: Vec<Vec<u8>> = packets.iter().map(|record| record.bytes.clone()).collect();
    assert_eq!(joined(directory.path(), &names(directory.path())), bytes);
    let counts: Vec<usize> =
        expected.iter().map(|name| records(&fs::read(directory.path().join(name)).unwrap()).len()).collect();
    assert_eq!(counts, [40, 40, 15]);
    // Ends after two files, with success.
    let two = tempfile::tempdir().unwrap();
    let to = two.path().join("%H%M%S");
    let output = good(&["read", &path, "-w", to.to_str().unwrap(), "-G", "4", "-W", "2"]);
    assert_eq!(names(two.path()), ["221320", "221324"]);
    // The packet past the end is none that the filter refused.
    assert_eq!(stderr(&output), "80 packets captured\n80 packets read\n0 packets filtered\n");
    // Both: numbers begin again with each name.
    let both = tempfile::tempdir().unwrap();
    let (path, _) = large_capture(source.path(), 2_500);
    let to = both.path().join("%M%S-");
    good(&["read", &path, "-w", to.to_str().unwrap(), "-G", "200", "-C", "1"]);
    assert_eq!(names(both.path()), ["1320-", "1320-1", "1320-2", "1640-"]);
}

/// Whoever knows tcpdump types these letters.
#[test]
fn letters_of_tcpdump_show_what_they_show_there() {
    let path = file("port-scan-at");
    let first = |words: &[&str]| {
        let text = stdout(&good(&[&["read", "-c", "1"], words].concat()));
        text.trim_end().to_owned()
    };
    let plain = first(&[&path]);
    assert!(plain.ends_with("[SYN]"), "{plain}");
    for words in
        [&["-r", &path][..], &["-nn", "-r", &path], &["-lU", &path], &["-tttt", &path], &["-r", &path, "tcp"]]
    {
        assert_eq!(first(words), plain, "{words:?}");
    }
    assert_eq!(stdout(&good(&["capture", "-r", &path, "-c", "1"])).trim_end(), plain);
    let verbose = first(&["-v", &path]);
    let fields = verbose.strip_prefix(&plain).unwrap();
    assert!(
        fields.starts_with(" (ttl ") && fields.contains(", seq ") && fields.contains(", win "),
        "{verbose}"
    );
    let link = first(&["-e", &path]);
    assert_eq!(link.matches("02:00:").count(), 2, "{link}");
    assert!(link.contains(" bytes: TCP "), "{link}");
    let whole = first(&["-XX", &path]);
    assert_eq!(whole, first(&["-x", &path]));
    let without_link = first(&["-X", &path]);
    assert!(without_link.lines().nth(1).unwrap().starts_with("\t0x0000:  4500 "), "{without_link}");
    let text = first(&["-A", golden().with_file_name("views/smtp.pcap").to_str().unwrap()]);
    assert!(text.lines().count() > 1, "{text}");
    for (words, expected) in [
        (&["read", &path, "-Q", "in"][..], "option --direction is not supported"),
        (&["capture", "-r", &path, "-i", "lo"], "--interface does not go with --read"),
        (&["capture", "-Q", "sideways"], "--direction sideways: want in, out or inout"),
        (&["read", &path, "-A", "--json"], "--ascii goes with lines only"),
        (&["read", &path, "-K"], "-K is not supported: leave it out"),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains(expected), "{words:?}: {}", stderr(&output));
    }
    assert_eq!(stdout(&good(&["capture", "-D"])), stdout(&good(&["interfaces"])));
}

/// A file of frames of 1,000 bytes, one each 100 ms from 2023-11-14 22:13:20 on.
fn large_capture(directory: &Path, count: u32) -> (String, Vec<Record>) {
    let record = |number: u32| Record {
        seconds: 1_700_000_000 + number / 10,
        nanos: number % 10 * 100_000_000,
        wire_len: 1_000,
        bytes: {
            let mut payload = vec![0; 1_000 - 42];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            udp(1_000, 2_000, &payload)
        },
    };
    let packets: Vec<Record> = (0..count).map(record).collect();
    let path = directory.join(format!("{count}.pcap"));
    fs::write(&path, pcap(&packets, Order::Little, true, 1)).unwrap();
    (path.to_str().unwrap().to_owned(), packets)
}

#[test]
fn results_and_log_are_written_also_when_quiet() {
    for quiet in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("deep/results");
        let mut words = vec!["read".to_owned(), file("dns-content-network"), "-o".into()];
        words.push(to.to_str().unwrap().into());
        words.extend(quiet.then(|| "-q".to_owned()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = good(&words);
        let expected = if quiet { 0 } else { 16 };
        assert_eq!(stdout(&output).lines().count(), expected);
        assert_eq!(stderr(&output).is_empty(), quiet, "{}", stderr(&output));
        let found = names(&to);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "sentinel.log");
        let stamp = found[1].strip_prefix("sentinel_results_").unwrap().strip_suffix(".txt").unwrap();
        let (date, time) = stamp.split_once('_').unwrap();
        assert!(date.len() == 8 && time.len() == 6, "{stamp}");
        assert!(date.bytes().chain(time.bytes()).all(|byte| byte.is_ascii_digit()), "{stamp}");
        let text = fs::read_to_string(to.join(&found[1])).unwrap();
        let first = "Time: 2023-11-14 22:13:20.000000\nProtocol: DNS\n10.20.30.20 -> 10.20.30.1\nSummary: 42361 \
                     -> 53 d111111abcdef8.cloudfront.example.net A\n----------";
        assert!(text.starts_with(first), "{text}");
        assert_eq!(text.lines().count(), 16 * 5);
        let log = fs::read_to_string(to.join("sentinel.log")).unwrap();
        assert!(log.contains("reading ") && log.contains(" 16 packets captured\n"), "{log}");
    }
}

#[test]
fn two_runs_into_one_directory_keep_their_results_apart() {
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().to_str().unwrap();
    for _ in 0..3 {
        good(&["read", &file("arp-probe"), "-q", "-o", to]);
    }
    assert_eq!(names(directory.path()).len(), 4, "{:?}", names(directory.path()));
    let log = fs::read_to_string(directory.path().join("sentinel.log")).unwrap();
    assert_eq!(log.matches("16 packets captured").count(), 3, "{log}");
}

#[test]
fn statistics_add_up() {
    let text = stdout(&good(&["read", &file("arp-vrrp"), "--stats"]));
    let packets = records(&fs::read(file("arp-vrrp")).unwrap());
    let bytes: u32 = packets.iter().map(|record| record.wire_len).sum();
    let row = |name: &str| -> Vec<u64> {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {text}"));
        line.split_whitespace().skip(1).take(2).map(|number| number.parse().unwrap()).collect()
    };
    let (arp, ip, icmp) = (row("ARP"), row("IPv4"), row("ICMP"));
    assert_eq!(arp[0] + ip[0], 15, "{text}");
    assert_eq!(arp[1] + ip[1], u64::from(bytes), "{text}");
    assert_eq!(ip, icmp);
    assert!(text.starts_with("15 packets, "), "{text}");
    // The address of every packet is first.
    let talkers = text.split("address").nth(1).unwrap();
    assert!(talkers.lines().nth(1).unwrap().starts_with("10.20.30."), "{text}");
    // With a view they go to standard error.
    let output = good(&["read", &file("arp-vrrp"), "--stats", "--json"]);
    assert_eq!(objects(&stdout(&output)).len(), 15);
    assert!(stderr(&output).contains("IPv4"), "{}", stderr(&output));
}

#[test]
fn a_signal_ends_the_reading_of_a_pipe_after_all_complete_packets() {
    let bytes = fs::read(file("arp-probe")).unwrap();
    for signal in ["INT", "TERM"] {
        let mut child = sentinel()
            .args(["read", "-", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        // Not the last record's end: the signal comes within a record.
        input.write_all(&bytes[..bytes.len() - 5]).unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
        // Complete packets are shown although the pipe stays open.
        for _ in 0..15 {
            let mut line = String::new();
            std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
            assert!(line.starts_with('{') && line.ends_with("}\n"), "{line}");
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        drop(input);
    }
}

#[test]
fn display_only_keeps_the_timing_divided_by_the_speed() {
    let source = tempfile::tempdir().unwrap();
    // 21 packets: two seconds from the first to the last.
    let (path, _) = large_capture(source.path(), 21);
    // Time that the program reports: `21 packets shown, 21000 bytes in 0.501 s: ...`.
    let timed = |words: &[&str]| {
        let output = good(&[&["replay", &path, "--display-only"], words].concat());
        let report = stderr(&output);
        let span = report.split(" bytes in ").nth(1).and_then(|rest| rest.split(" s: ").next()).unwrap();
        (span.replace('.', "").parse::<u64>().unwrap(), output)
    };
    let (four_times, output) = timed(&["--speed", "4.0"]);
    assert_eq!(stdout(&output).lines().count(), 21);
    assert!((500..1_500).contains(&four_times), "{four_times} ms");
    assert!(stderr(&output).starts_with("21 packets shown, 21000 bytes in 0."), "{}", stderr(&output));
    let (at_once, output) = timed(&["--speed", "0"]);
    assert!(at_once < 500, "{at_once} ms");
    assert_eq!(stdout(&output), stdout(&good(&["read", &path])), "the same lines");
    let (three, output) = timed(&["-c", "3", "--json"]);
    assert_eq!(objects(&stdout(&output)).len(), 3);
    assert!((200..1_000).contains(&three), "{three} ms");
    let output = good(&["replay", &path, "--display-only", "--speed", "0", "-q"]);
    assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
}

/// A saved file without packets still has its header, with the link type of the input.
#[test]
fn no_packet_gives_an_empty_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("empty.pcap");
    let bytes = pcap(&records(&fs::read(file("arp-probe")).unwrap()), Order::Big, true, 113);
    let output = run_with_input(&["read", "-", "-w", path.to_str().unwrap(), "udp"], &bytes);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(fs::read(&path).unwrap(), pcap(&[], Order::Little, true, 113));
}

#[test]
fn unreadable_input_creates_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let [results, saved, text] =
        ["results", "saved.pcap", "text.pcap"].map(|name| directory.path().join(name));
    fs::write(&text, "this is no capture file at all").unwrap();
    let [results, saved, text] = [&results, &saved, &text].map(|path| path.to_str().unwrap());
    let output = run(&["read", "absent.pcap", "-o", results, "-w", saved]);
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["read", text, "-w", saved]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(names(directory.path()), ["text.pcap"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let absent: PathBuf = directory.path().join("absent/x.pcap");
    let path = file("arp-probe");
    for words in
        [&["-w", absent.to_str().unwrap()][..], &["-w", directory.path().to_str().unwrap()], &["-o", &path]]
    {
        let output = run(&[&["read", &path][..], words].concat());
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(stderr(&output).starts_with(&format!("sentinel: {}: ", words[1])), "{}", stderr(&output));
    }
    let full = run(&["read", &path, "-w", "/dev/full"]);
    assert_eq!(full.status.code(), Some(1));
    assert!(stderr(&full).contains("/dev/full: No space left"), "{}", stderr(&full));
}
