//! Traces of the self-test: for each detector frames that come closer to its threshold step by step.
//!
//! A detector is right if it is silent up to the step before the one that `raised_at` computes from its default threshold, and
//! raises its alert at that step.

use std::net::Ipv4Addr;

use sentinel_alert::Test;

use super::frame::{self, ACK, RST_ACK, SYN, SYN_ACK};

/// Takes the frames of a step.
pub(super) type Give<'g> = &'g mut dyn FnMut(&[u8]);

/// Frames of one test.
pub(super) struct Trace {
    pub(super) test: Test,
    /// Step at which the alert is due, for the first threshold of the detector.
    pub(super) raised_at: fn(threshold: u32) -> u32,
    /// Gives the frames of a step, counted from 1.
    pub(super) step: fn(step: u32, give: Give<'_>),
}

/// Hosts of the home network, and one outside (RFC 5737).
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 10);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 20);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

/// Bytes of a full frame.
const FULL_FRAME: u32 = 1_514;

/// One trace for each test of a detector that has a threshold. Those with a threshold on time alone are not here.
pub(super) const TRACES: &[Trace] = &[
    Trace { test: Test::PortScanPortsInWindow, raised_at: same, step: scan },
    Trace { test: Test::SynFloodPerSource, raised_at: same, step: requests },
    Trace { test: Test::IcmpFloodPerSource, raised_at: same, step: pings },
    Trace { test: Test::SuspiciousPort, raised_at: |_| 2, step: contacts },
    Trace { test: Test::ArpSpoof, raised_at: |_| 2, step: claims },
    Trace { test: Test::DnsTunnelNameLength, raised_at: |longest| longest + 1, step: names },
    Trace {
        test: Test::ExfiltrationBytesInWindow,
        raised_at: |bytes| bytes.div_ceil(FULL_FRAME),
        step: upload,
    },
    Trace { test: Test::BruteForceSynInWindow, raised_at: same, step: logins },
    Trace { test: Test::UdpFloodPerSource, raised_at: same, step: datagrams },
    // 0.4 s of grace and 0.2 s of 2,000 packets a second, at the end of a bucket of 50 ms.
    Trace { test: Test::TcpFlood, raised_at: |_| 1_209, step: segments },
    Trace { test: Test::FragmentFlood, raised_at: |_| 1_207, step: fragments },
    Trace { test: Test::TcpFloodPerSource, raised_at: |_| 1_193, step: segments_of_one },
    Trace { test: Test::FragmentFloodPerSource, raised_at: |_| 1_207, step: fragments_of_one },
    // Less than a bit for the first contact, two for each of the others: log2(99).
    Trace { test: Test::HostSweep, raised_at: |_| 4, step: sweep },
    // A name counts 40 at most, less 10 as long as no answer says that it does not exist.
    Trace { test: Test::DgaHost, raised_at: |evidence| evidence.div_ceil(30), step: generated },
    Trace { test: Test::NdpSpoof, raised_at: |_| 2, step: claims_v6 },
    Trace { test: Test::RogueDhcp, raised_at: |_| 2, step: servers },
    Trace { test: Test::RogueRa, raised_at: |_| 2, step: routers },
    Trace { test: Test::RogueDns, raised_at: |_| 2, step: resolvers },
    Trace { test: Test::DhcpStarvation, raised_at: same, step: clients },
    Trace { test: Test::MacFlood, raised_at: same, step: stations },
    // Domains that share a bit with one before count once.
    Trace { test: Test::NxdomainBurst, raised_at: |domains| domains + 10, step: nonexistent },
    // Two claims wait for other names with the same address.
    Trace { test: Test::DnsRebinding, raised_at: |_| 3, step: moved },
    Trace { test: Test::PunycodeLookalike, raised_at: |_| 2, step: lookalikes },
    Trace { test: Test::FastFlux, raised_at: |networks| networks + 2, step: addresses },
    // Three contacts before the pair is watched.
    Trace { test: Test::Beacon, raised_at: |contacts| contacts + 3, step: calls },
    Trace { test: Test::NewDevice, raised_at: |_| 2, step: newcomer },
    Trace { test: Test::LargeTransfer, raised_at: |bytes| 1 + bytes.div_ceil(DOWNLOADED), step: download },
    Trace { test: Test::ChatApp, raised_at: second, step: |step, give| asks(step, "chat.test", give) },
    Trace { test: Test::CloudStorage, raised_at: second, step: |step, give| asks(step, "cloud.test", give) },
    Trace { test: Test::SuspiciousTld, raised_at: second, step: |step, give| asks(step, "abused", give) },
    Trace {
        test: Test::MaliciousDomain,
        raised_at: second,
        step: |step, give| asks(step, "evil.test", give),
    },
    Trace { test: Test::MaliciousIp, raised_at: second, step: |step, give| call_listed(step, 1, give) },
    Trace { test: Test::TorExitNode, raised_at: second, step: |step, give| call_listed(step, 2, give) },
    Trace { test: Test::TorRelay, raised_at: second, step: |step, give| call_listed(step, 3, give) },
    Trace { test: Test::TorBridge, raised_at: second, step: |step, give| call_listed(step, 4, give) },
    Trace { test: Test::DatacenterIp, raised_at: second, step: |step, give| call_listed(step, 5, give) },
    Trace { test: Test::ProxyVpn, raised_at: second, step: |step, give| call_listed(step, 6, give) },
    Trace { test: Test::CleartextCredentials, raised_at: |_| 2, step: passwords },
    Trace { test: Test::TlsRisk, raised_at: |_| 2, step: hellos },
    Trace { test: Test::IcmpTunnel, raised_at: same, step: echoes },
    Trace { test: Test::BotUserAgent, raised_at: |_| 2, step: programs },
    Trace { test: Test::MaliciousFingerprint, raised_at: |_| 2, step: fingerprints },
    Trace { test: Test::Land, raised_at: |_| 2, step: requests_to_itself },
    // A step is half an hour, which is judged when the next one begins.
    Trace { test: Test::DeviceOffline, raised_at: |silent_s| WEEK + silent_s / 1_800 + 1, step: week },
];

/// Lists of the self-test: names that nobody owns (RFC 6761), addresses for documentation (RFC 5737).
pub(super) const SIGNATURES: &str = r#"{
    "chat": [{"name": "Chat", "domains": ["chat.test"]}],
    "cloud": [{"name": "Cloud", "domains": ["cloud.test"]}],
    "suspicious_tlds": ["abused"],
    "malicious": {"addresses": ["198.51.100.1"], "domains": ["evil.test"], "fingerprints": ["4541c33c3fbc2aab6b5bf2c35e420f24"]},
    "tor": {"exit_nodes": ["198.51.100.2"], "relays": ["198.51.100.3"], "bridges": ["198.51.100.4"]},
    "datacenter": ["198.51.100.5"],
    "proxy_vpn": ["198.51.100.6"]
}"#;

const fn second(_threshold: u32) -> u32 {
    2
}

const fn same(threshold: u32) -> u32 {
    threshold
}

/// A port from a base and the step; the steps of every trace that uses it are far below 10,000.
fn port(base: u16, step: u32) -> u16 {
    base.saturating_add(u16::try_from(step).unwrap_or(u16::MAX))
}

/// A request to another port in each step. All are given within the time for which an answer is waited for.
fn scan(step: u32, give: Give<'_>) {
    give(&frame::tcp((CLIENT, port(40_000, step)), (SERVER, port(1_000, step)), SYN, &[]));
}

/// A request to one port of another host in each step, which refuses it.
fn sweep(step: u32, give: Give<'_>) {
    let host = Ipv4Addr::from_bits(SERVER.to_bits() + step);
    let (source, destination) = ((OUTSIDE, port(40_000, step)), (host, 445));
    give(&frame::tcp(source, destination, SYN, &[]));
    give(&frame::tcp(destination, source, RST_ACK, &[]));
}

/// A request to one port in each step, without an answer.
fn requests(step: u32, give: Give<'_>) {
    give(&frame::tcp((OUTSIDE, port(40_000, step)), (SERVER, 443), SYN, &[]));
}

fn pings(_step: u32, give: Give<'_>) {
    give(&frame::echo(8, OUTSIDE, SERVER, &[]));
}

/// A request to a server outside in each step, from the second on with a password.
fn passwords(step: u32, give: Give<'_>) {
    let (source, destination) = ((CLIENT, port(47_000, step)), (OUTSIDE, 80));
    let header = if step == 1 { "Accept: */*" } else { "Authorization: Basic YTpi" };
    give(&frame::tcp(source, destination, SYN, &[]));
    give(&frame::tcp(destination, source, SYN_ACK, &[]));
    give(&frame::tcp(source, destination, ACK, format!("GET / HTTP/1.1\r\n{header}\r\n\r\n").as_bytes()));
}

/// The hello of another server in each step, and the end of its clear text: TLS 1.2, then TLS 1.0.
fn hellos(step: u32, give: Give<'_>) {
    let minor = if step == 1 { 3 } else { 1 };
    // A record with the hello: version, random, no session, suite, no compression; and the record that begins encryption.
    let start = [22, 3, minor, 0, 42, 2, 0, 0, 38, 3, minor];
    let hello = [&start[..], &[7; 32], &[0, 0xc0, 0x13, 0, 20, 3, minor, 0, 1, 1]].concat();
    give(&frame::tcp((OUTSIDE, port(8_440, step)), (CLIENT, port(48_000, step)), ACK, &hello));
}

/// A request in each step: of a browser, then of a crawler.
fn programs(step: u32, give: Give<'_>) {
    let agent = if step == 1 { "Mozilla/5.0 (X11) Firefox/128.0" } else { "testbot/1.0" };
    let request = format!("GET / HTTP/1.1\r\nUser-Agent: {agent}\r\n\r\n");
    give(&frame::tcp((CLIENT, port(49_000, step)), (OUTSIDE, 80), ACK, request.as_bytes()));
}

/// The hello of a client in each step, without extensions: AES-128, then AES-256, of which the list has JA3 `771,53,,,`.
fn fingerprints(step: u32, give: Give<'_>) {
    let suite = if step == 1 { 47 } else { 53 };
    let hello = [&[22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3][..], &[7; 32], &[0, 0, 2, 0, suite, 1, 0]].concat();
    give(&frame::tcp((CLIENT, port(49_100, step)), (OUTSIDE, 443), ACK, &hello));
}

/// A request in each step, and a reply with other data than it has.
fn echoes(step: u32, give: Give<'_>) {
    give(&frame::echo(8, CLIENT, OUTSIDE, &[0; 32]));
    give(&frame::echo(0, OUTSIDE, CLIENT, &[step.to_be_bytes(); 16].concat()));
}

/// A contact at a port that is not listed, then one at port 31337 (Back Orifice), which is.
fn contacts(step: u32, give: Give<'_>) {
    let listed = if step == 1 { 8_443 } else { 31_337 };
    give(&frame::tcp((CLIENT, port(41_000, step)), (OUTSIDE, listed), SYN, &[]));
}

/// The gateway's own claim of its address, then that of another station.
fn claims(step: u32, give: Give<'_>) {
    let own = if step == 1 { 1 } else { 0x66 };
    give(&frame::arp_reply(GATEWAY, [2, 0, 0, 0, 1, own]));
}

/// A name of as many characters as the step has, from 10 on.
fn names(step: u32, give: Give<'_>) {
    const DOMAIN: &str = ".example";
    let label = usize::try_from(step).unwrap_or(0).saturating_sub(DOMAIN.len()).clamp(2, 63);
    let query = frame::dns_query(&["x".repeat(label).as_str(), DOMAIN].concat());
    give(&frame::udp((CLIENT, port(42_000, step)), (OUTSIDE, 53), &query));
}

/// A name of consonants in each step, another each time.
fn generated(step: u32, give: Give<'_>) {
    const LETTERS: &[u8; 16] = b"bcdfghjkmpqtvwxz";
    let mut state = step;
    let label: String = (0..14)
        .filter_map(|_| {
            state = state.wrapping_mul(0x9e37_79b1).rotate_left(7) ^ 0x5bd1;
            usize::try_from(state >> 28).ok().and_then(|index| LETTERS.get(index)).copied().map(char::from)
        })
        .collect();
    let query = frame::dns_query(&[label.as_str(), ".com"].concat());
    give(&frame::udp((CLIENT, port(42_000, step)), (OUTSIDE, 53), &query));
}

/// A connection in the first step, and a full segment of it to the outside in each.
fn upload(step: u32, give: Give<'_>) {
    let (source, destination) = ((CLIENT, 43_000), (OUTSIDE, 443));
    if step == 1 {
        give(&frame::tcp(source, destination, SYN, &[]));
        give(&frame::tcp(destination, source, SYN_ACK, &[]));
    }
    give(&frame::tcp(source, destination, ACK, &[0x5a; 1_460]));
}

/// A connection to SSH in each step, each accepted.
fn logins(step: u32, give: Give<'_>) {
    let (source, destination) = ((OUTSIDE, port(44_000, step)), (SERVER, 22));
    give(&frame::tcp(source, destination, SYN, &[]));
    give(&frame::tcp(destination, source, SYN_ACK, &[]));
}

/// A datagram without an answer in each step.
fn datagrams(_step: u32, give: Give<'_>) {
    give(&frame::udp((OUTSIDE, 45_000), (SERVER, 9_999), &[0; 64]));
}

/// Another made-up source (RFC 2544) in each step.
fn made_up(step: u32) -> Ipv4Addr {
    Ipv4Addr::from(0xc612_0000 | step.wrapping_mul(7_919) & 0x1_ffff)
}

/// A segment of no connection in each step.
fn segments(step: u32, give: Give<'_>) {
    give(&frame::tcp((made_up(step), 46_000), (SERVER, 443), ACK, &[]));
}

/// The first fragment of another datagram in each step.
fn fragments(step: u32, give: Give<'_>) {
    give(&frame::first_fragment(made_up(step), SERVER));
}

/// A request of another host, and then one that names its destination as its source.
fn requests_to_itself(step: u32, give: Give<'_>) {
    let source = if step == 1 { CLIENT } else { SERVER };
    give(&frame::tcp((source, 139), (SERVER, 139), SYN, &[]));
}

/// Segments of no connection of one source, from another port in each step.
fn segments_of_one(step: u32, give: Give<'_>) {
    give(&frame::tcp((OUTSIDE, port(20_000, step)), (SERVER, 443), ACK, &[]));
}

fn fragments_of_one(_step: u32, give: Give<'_>) {
    give(&frame::first_fragment(OUTSIDE, SERVER));
}

/// The last bytes of the first station's address, and of all others'.
const fn own(step: u32) -> u8 {
    if step == 1 { 1 } else { 0x66 }
}

/// The gateway's own advertisement of its address, then that of another station, with the flag that it replaces the first.
fn claims_v6(step: u32, give: Give<'_>) {
    let mac = [2, 1, 2, 0, 0, 0, 1, own(step)];
    give(&frame::icmpv6(own(step), 136, [0x20, 0, 0, 0], &[&frame::link_local(1)[..], &mac].concat()));
}

/// An advertisement of a router for 30 minutes, then that of another.
fn routers(step: u32, give: Give<'_>) {
    give(&frame::icmpv6(own(step), 134, [64, 0, 7, 8], &[0; 8]));
}

/// Acknowledgement of a lease by the server whose addresses end in `own`, which names that address as router and resolver.
fn lease(own: u8, resolver: Ipv4Addr) -> Vec<u8> {
    let server = Ipv4Addr::new(192, 168, 0, own);
    let mut options = vec![53, 1, 5, 3, 4];
    options.extend_from_slice(&server.octets());
    options.extend_from_slice(&[6, 4]);
    options.extend_from_slice(&resolver.octets());
    let message = frame::dhcp(2, [2, 0, 0, 0, 0, 9], CLIENT, &options);
    frame::sent_by([2, 0, 0, 0, 1, own], frame::udp((server, 67), (CLIENT, 68), &message))
}

fn servers(step: u32, give: Give<'_>) {
    give(&lease(own(step), GATEWAY));
}

/// The gateway names itself as resolver, then a host outside.
fn resolvers(step: u32, give: Give<'_>) {
    give(&lease(1, if step == 1 { GATEWAY } else { OUTSIDE }));
}

/// A hardware address of its own for each step.
const fn station(step: u32) -> [u8; 6] {
    let [_, b, c, d] = step.to_be_bytes();
    [2, 0, 2, b, c, d]
}

/// A request for a lease of another client in each step.
fn clients(step: u32, give: Give<'_>) {
    let message = frame::dhcp(1, station(step), Ipv4Addr::UNSPECIFIED, &[53, 1, 1]);
    let request = frame::udp((Ipv4Addr::UNSPECIFIED, 68), (Ipv4Addr::BROADCAST, 67), &message);
    give(&frame::sent_by(station(step), request));
}

/// A request from another hardware address in each step, none of which a trace before had.
fn stations(step: u32, give: Give<'_>) {
    let mac = station(step.saturating_add(1 << 16));
    give(&frame::sent_by(mac, frame::tcp((CLIENT, 46_000), (SERVER, 443), SYN, &[])));
}

/// A question to the gateway, and its answer.
fn lookup(step: u32, give: Give<'_>, name: &str, code: u8, addresses: &[Ipv4Addr]) {
    let (client, server) = ((CLIENT, port(44_000, step)), (GATEWAY, 53));
    give(&frame::udp(client, server, &frame::dns_query(name)));
    give(&frame::udp(server, client, &frame::dns_answer(name, code, addresses)));
}

/// A question for another domain in each step, and after ten of them the answers that they do not exist: names that are asked for one
/// after the other would look generated.
fn nonexistent(step: u32, give: Give<'_>) {
    let name = |step: u32| ["station", &step.to_string(), ".com"].concat();
    give(&frame::udp((CLIENT, port(45_000, step)), (GATEWAY, 53), &frame::dns_query(&name(step))));
    if step.is_multiple_of(10) {
        for step in step - 9..=step {
            let answer = frame::dns_answer(&name(step), 3, &[]);
            give(&frame::udp((GATEWAY, 53), (CLIENT, port(45_000, step)), &answer));
        }
    }
}

/// A name that moves inside in each step.
fn moved(step: u32, give: Give<'_>) {
    let name = ["www.domain", &step.to_string(), ".net"].concat();
    let inside = Ipv4Addr::from_bits(SERVER.to_bits() + step);
    lookup(step, &mut *give, &name, 0, &[OUTSIDE]);
    lookup(step, give, &name, 0, &[inside]);
}

/// A name of one alphabet, then one that reads like a known one.
fn lookalikes(step: u32, give: Give<'_>) {
    let name = if step == 1 { "xn--mnchen-3ya.de" } else { "xn--80ak6aa92e.com" };
    lookup(step, give, name, 0, &[OUTSIDE]);
}

/// Two addresses of another network for a name in each step.
fn addresses(step: u32, give: Give<'_>) {
    let addresses = [1, 2].map(|last| Ipv4Addr::from_bits(0x0b01_0000 + (step << 24) + last));
    lookup(step, give, "www.example.com", 0, &addresses);
}

/// A connection request to one service outside in each step, a minute apart.
fn calls(step: u32, give: Give<'_>) {
    give(&frame::tcp((CLIENT, port(47_000, step)), (Ipv4Addr::new(198, 51, 100, 7), 443), SYN, &[]));
}

/// The claim of a station that was never seen, and a frame a minute later, when it was watched for long enough.
fn newcomer(step: u32, give: Give<'_>) {
    if step == 1 {
        give(&frame::arp_reply(Ipv4Addr::new(192, 168, 0, 30), [0x3c, 0x5a, 0xb4, 0, 0, 1]));
    } else {
        give(&frame::tcp((CLIENT, 48_000), (SERVER, 443), SYN, &[]));
    }
}

/// Half-hours of a week.
const WEEK: u32 = 336;

/// A station that is always there, and another one for a week.
fn week(step: u32, give: Give<'_>) {
    give(&frame::arp_reply(Ipv4Addr::new(192, 168, 0, 31), [0x3c, 0x5a, 0xb4, 0, 0, 2]));
    if step <= WEEK {
        give(&frame::arp_reply(Ipv4Addr::new(192, 168, 0, 32), [0x3c, 0x5a, 0xb4, 0, 0, 3]));
    }
}

/// Bytes that a step of a download stands for.
const DOWNLOADED: u32 = 1 << 26;

/// A segment of a server outside in each step, whose number says what came before it.
fn download(step: u32, give: Give<'_>) {
    let mut frame = frame::tcp((OUTSIDE, 443), (CLIENT, 49_000), ACK, &[0x5a; 1_460]);
    if let Some(number) = frame.get_mut(38..42) {
        number.copy_from_slice(&step.wrapping_mul(DOWNLOADED).to_be_bytes());
    }
    give(&frame);
}

/// A question for a name that ends like a listed one, then for one below the listed one.
fn asks(step: u32, listed: &str, give: Give<'_>) {
    let separator = if step == 1 { "x" } else { "." };
    let query = frame::dns_query(&["www", separator, listed].concat());
    give(&frame::udp((CLIENT, port(46_000, step)), (OUTSIDE, 53), &query));
}

/// A request to an address that is not listed, then to the listed one; nobody answers.
fn call_listed(step: u32, listed: u8, give: Give<'_>) {
    let last = if step == 1 { 200 } else { listed };
    give(&frame::tcp((CLIENT, port(47_000, step)), (Ipv4Addr::new(198, 51, 100, last), 443), SYN, &[]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentinel_alert::Kind;

    /// A new test of a detector must have its trace here.
    #[test]
    fn every_kind_that_a_detector_raises_has_a_trace() {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_detected()) {
            assert!(TRACES.iter().any(|trace| trace.test.kind() == kind), "{kind}");
        }
    }
}
