//! Random expressions select the same frames by our program as by tcpdump's.
//!
//! `SENTINEL_FILTER_RUNS` sets their number, `SENTINEL_FILTER_SEED` the seed.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bpf;

use bpf::{captures, corpus, is_supported, tcpdump};
use sentinel_filter::{ExpressionErrorReason, compile};
use sentinel_units::LinkType;

/// Generator of random expressions.
struct Generator {
    state: u64,
}

const V4: &[&str] = &[
    "192.168.1.1",
    "10.0.0.1",
    "127.0.0.1",
    "8.8.8.8",
    "224.0.0.251",
    "192.168.1.2",
    "172.16.0.1",
    "1.2.3.4",
    "255.255.255.255",
    "0.0.0.0",
];
const V6: &[&str] = &["::1", "fe80::1", "ff02::fb", "ff02::1", "2001:db8::1"];
const MACS: &[&str] =
    &["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "00:00:00:00:00:00", "33:33:00:00:00:fb", "1:2:3:4:5:6"];
const NETS: &[&str] = &[
    "192.168.0.0/16",
    "10.0.0.0/8",
    "172.16.0.0 mask 255.240.0.0",
    "10",
    "192.168",
    "192.168.1",
    "224.0.0.0/4",
    "0.0.0.0/1",
    "0.0.0.0/0",
    "fe80::/10",
    "2001::/16",
    "ff02::/16",
    "fe80::/70",
    "2000::/3",
    "127",
];
const PORTS: &[&str] = &[
    "53", "80", "443", "22", "123", "67", "68", "5353", "8080", "0", "65535", "domain", "http", "https",
    "ssh", "ntp", "0x35", "025",
];
const RANGES: &[&str] =
    &["1-1023", "6000-6063", "32768-65535", "5000-6000", "80-80", "90-80", "53", "ssh-http", "0-65535"];
const ABBREVIATIONS: &[&str] = &[
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim", "vrrp", "ah",
    "esp", "stp", "iso", "ipx", "atalk", "netbeui", "decnet", "lat", "clnp", "isis", "aarp",
];
const INDEXED: &[&str] =
    &["ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "ether", "igmp", "sctp", "rarp", "link"];
const FIELDS: &[&str] = &[
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[tcpflags] == tcp-syn|tcp-ack",
    "tcp[tcpflags] & tcp-rst != 0",
    "icmp[icmptype] = icmp-echo",
    "icmp6[icmp6type] = icmp6-echo",
    "icmp[icmpcode] = 0",
    "ip[6:2] & 0x1fff != 0",
    "ip[0] & 0xf > 5",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
    "udp[8:2] & 0x8000 = 0",
];

impl Generator {
    fn below(&mut self, limit: u32) -> u32 {
        // SplitMix64 (OOPSLA 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ mixed >> 31) % u64::from(limit)).unwrap()
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(u32::try_from(choices.len()).unwrap());
        choices[usize::try_from(index).unwrap()]
    }

    fn number(&mut self) -> String {
        match self.below(6) {
            0 => self
                .pick(&["0", "1", "2", "4", "0xff", "0xffff", "0x0800", "64", "1500", "0x80000000", "0xf0"])
                .into(),
            1 => format!("{:#x}", self.below(0x1_0000)),
            _ => self.below(256).to_string(),
        }
    }

    fn index(&mut self, depth: u32) -> String {
        let proto = self.pick(INDEXED);
        let offset = match self.below(8) {
            0 if depth > 0 => self.arithmetic(depth - 1),
            1 => self.below(90).to_string(),
            _ => self.below(24).to_string(),
        };
        match self.below(3) {
            0 => format!("{proto}[{offset}:{}]", self.pick(&["1", "2", "4"])),
            _ => format!("{proto}[{offset}]"),
        }
    }

    fn arithmetic(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 4 } else { 9 }) {
            0 => self.number(),
            1 => {
                if self.below(3) == 0 {
                    "len".into()
                } else {
                    self.index(depth)
                }
            }
            2 | 3 => self.index(depth),
            4 => format!("({})", self.arithmetic(depth - 1)),
            5 if self.below(3) == 0 => format!("-{}", self.arithmetic(depth - 1)),
            _ => {
                let operator = self.pick(&["+", "-", "*", "/", "&", "|", "^", "%", "&", "&"]);
                let (left, right) = if self.below(6) == 0 {
                    (self.arithmetic(depth - 1), self.below(20).to_string())
                } else {
                    (self.arithmetic(depth - 1), self.arithmetic(depth - 1))
                };
                let operator = if self.below(8) == 0 { self.pick(&["<<", ">>"]) } else { operator };
                format!("{left} {operator} {right}")
            }
        }
    }

    fn direction(&mut self) -> &'static str {
        self.pick(&["", "", "", "src ", "dst ", "src or dst ", "src and dst "])
    }

    fn primitive(&mut self, ethernet: bool) -> String {
        match self.below(if ethernet { 19 } else { 14 }) {
            0 | 1 => self.pick(ABBREVIATIONS).into(),
            2 => {
                let layer = self.pick(&["", "", "ip ", "arp ", "rarp "]);
                format!("{layer}{}host {}", self.direction(), self.pick(V4))
            }
            3 => format!("{}{}host {}", self.pick(&["", "ip6 "]), self.direction(), self.pick(V6)),
            4 => format!("{}net {}", self.direction(), self.pick(NETS)),
            5 | 6 => {
                let layer = self.pick(&["", "tcp ", "udp ", "sctp "]);
                format!("{layer}{}port {}", self.direction(), self.pick(PORTS))
            }
            7 => format!(
                "{}{}portrange {}",
                self.pick(&["", "tcp ", "udp "]),
                self.direction(),
                self.pick(RANGES)
            ),
            8 => {
                let layer = self.pick(&["", "ip ", "ip6 ", "ether "]);
                format!(
                    "{layer}proto {}",
                    self.pick(&["6", "17", "1", "58", "0x0800", "\\udp", "44", "0x86dd", "6", "17"])
                )
            }
            9 => self.pick(FIELDS).into(),
            10 => format!("{} {}", self.pick(&["less", "greater"]), self.below(200)),
            11 => format!("ip{} multicast", self.pick(&["", "6"])),
            12 | 13 => {
                let relation = self.pick(&["=", "!=", "<", "<=", ">", ">=", "=="]);
                format!("{} {relation} {}", self.arithmetic(2), self.arithmetic(1))
            }
            14 => format!("ether {}{} {}", self.direction(), "host", self.pick(MACS)),
            15 => self
                .pick(&["broadcast", "multicast", "ether broadcast", "ip broadcast", "llc", "llc u", "llc i"])
                .into(),
            16 => {
                if self.below(2) == 0 {
                    "vlan".into()
                } else {
                    format!("vlan {}", self.below(300))
                }
            }
            17 => self.pick(&["mpls", "mpls 100", "pppoed", "pppoes", "pppoes 1", "pppoes"]).into(),
            // Not '&' and '|': libpcap omits the load of the byte.
            _ => format!("byte {} {} {}", self.below(40), self.pick(&["=", "<", ">"]), self.below(256)),
        }
    }

    fn expression(&mut self, depth: u32, ethernet: bool) -> String {
        if depth == 0 {
            return self.primitive(ethernet);
        }
        match self.below(8) {
            0 => format!("{} {}", self.pick(&["not", "!"]), self.expression(depth - 1, ethernet)),
            1 => format!("not ({})", self.expression(depth - 1, ethernet)),
            2 => format!("({})", self.expression(depth - 1, ethernet)),
            3 => self.primitive(ethernet),
            4 => format!(
                "{} or {}",
                self.primitive(ethernet),
                self.pick(&["80", "10.0.0.1", "192.168.1.2", "::1"])
            ),
            _ => {
                let joint = self.pick(&["and", "or", "&&", "||"]);
                format!(
                    "{} {joint} {}",
                    self.expression(depth - 1, ethernet),
                    self.expression(depth - 1, ethernet)
                )
            }
        }
    }
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn random_expressions_select_the_same_frames() {
    let Some(corpus) = corpus() else { return println!("skipped: no corpus (set SENTINEL_CORPUS)") };
    let captures: Vec<_> =
        captures(&corpus).into_iter().filter(|capture| is_supported(capture.link)).collect();
    let mut generator = Generator { state: setting("SENTINEL_FILTER_SEED", 1) };
    let runs = setting("SENTINEL_FILTER_RUNS", 1_000);
    let (mut same, mut both_reject, mut sharper) = (0, 0, 0);
    // libpcap looks for a zero divisor or a large shift in the first instruction of the right side: it takes
    // the offset of a load for one, and misses one that is computed.
    let mut mistaken = 0;
    let mut lengths = (0, 0, 0);
    let mut wrong = Vec::new();
    for _ in 0..runs {
        let capture = match generator.below(3) {
            0 => &captures[usize::try_from(generator.below(u32::try_from(captures.len()).unwrap())).unwrap()],
            _ => captures.iter().find(|capture| capture.link == LinkType::ETHERNET).unwrap(),
        };
        let depth = generator.below(4);
        let expression = generator.expression(depth, capture.link == LinkType::ETHERNET);
        let Some(theirs) = tcpdump(capture, &expression) else {
            return println!("skipped: no tcpdump");
        };
        let ours = compile(&expression, capture.link, 262_144);
        let problem = match (&ours, &theirs) {
            (Err(_), Err(_)) => {
                both_reject += 1;
                continue;
            }
            (Err(error), Ok(theirs)) => {
                if matches!(
                    error.reason,
                    ExpressionErrorReason::DivisionByZero | ExpressionErrorReason::ShiftTooFar
                ) {
                    mistaken += 1;
                    continue;
                }
                if error.reason == ExpressionErrorReason::RejectsAll && capture.selected(theirs).is_empty() {
                    sharper += 1;
                    continue;
                }
                format!("rejected here: {error}")
            }
            (Ok(_), Err(error))
                if ["by zero", "by more than 31 bits"].iter().any(|end| error.ends_with(end)) =>
            {
                mistaken += 1;
                continue;
            }
            (Ok(_), Err(error)) => format!("tcpdump rejects: {error}"),
            (Ok(ours), Ok(theirs)) => {
                lengths.0 += usize::from(ours.instructions().len() <= theirs.len());
                lengths.1 += ours.instructions().len();
                lengths.2 += theirs.len();
                let selected = capture.selected(ours.instructions());
                if selected == capture.selected(theirs) {
                    same += 1;
                    continue;
                }
                let theirs = capture.selected(theirs);
                let only = |left: &[u32], right: &[u32]| -> Vec<u32> {
                    left.iter().filter(|frame| !right.contains(frame)).take(5).copied().collect()
                };
                format!(
                    "only ours {:?}, only theirs {:?}",
                    only(&selected, &theirs),
                    only(&theirs, &selected)
                )
            }
        };
        wrong.push(format!("'{expression}' on {}: {problem}", capture.name));
    }
    println!(
        "{runs} expressions: {same} the same, {both_reject} rejected by both, {sharper} of which we say that \
         nothing can match, {mistaken} that libpcap \
         rejects or accepts by mistake, {} wrong; {} not longer, {} \
         instructions against {}",
        wrong.len(),
        lengths.0,
        lengths.1,
        lengths.2
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
