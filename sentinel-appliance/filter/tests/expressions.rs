//! Expressions: the packets that they select, their programs, and the messages for mistakes.
#![allow(
    missing_docs,
    clippy::tests_outside_test_module,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use sentinel_filter::{
    DumpStyle, ExpressionErrorReason, Packet, Program, Target, code, compile, compile_for,
};
use sentinel_units::LinkType;

fn ethernet(expression: &str) -> Program {
    compile(expression, LinkType::ETHERNET, 262_144).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn dump(expression: &str, style: DumpStyle) -> String {
    ethernet(expression).dump(style).to_string()
}

/// An Ethernet frame from 02:..:02 to `destination`, with these tags (type and identifier).
fn frame(destination: [u8; 6], tags: &[(u16, u16)], kind: u16, network: &[u8]) -> Vec<u8> {
    let mut bytes = [destination, [2; 6]].concat();
    for (kind, id) in tags {
        bytes.extend(kind.to_be_bytes());
        bytes.extend((id | 0x2000).to_be_bytes()); // priority 1
    }
    bytes.extend(kind.to_be_bytes());
    bytes.extend(network);
    bytes
}

/// IPv4 from 192.0.2.1 to 198.51.100.2.
fn v4(transport: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let header = [0x45, 0, 0, 60, 0, 1, high, low, 64, transport, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
    [&header[..], payload].concat()
}

/// IPv6 from `2001:db8::1` to `ff02::fb`.
fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header =
        vec![0x60, 0, 0, 0, 0, 20, next, 255, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    header.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb]);
    [header, payload.to_vec()].concat()
}

/// TCP from port 40000 to `port`, with these flags.
fn tcp(port: u16, flags: u8) -> Vec<u8> {
    let mut header = vec![0x9c, 0x40];
    header.extend(port.to_be_bytes());
    header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    header
}

/// UDP from port 5353 to `port`.
fn udp(port: u16) -> Vec<u8> {
    let mut header = vec![0x14, 0xe9];
    header.extend(port.to_be_bytes());
    header.extend([0, 12, 0, 0, 0x80, 0, 0, 1]);
    header
}

fn matches(program: &Program, bytes: &[u8], vlan: Option<u16>) -> bool {
    program.matches(&Packet { bytes, wire_len: u32::try_from(bytes.len()).unwrap(), vlan })
}

const HOST: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const GROUP: [u8; 6] = [0x33, 0x33, 0, 0, 0, 0xfb];

#[test]
fn expressions_select_the_packets_they_name() {
    let arp =
        [&[0, 1, 8, 0, 6, 4, 0, 1, 2, 2, 2, 2, 2, 2, 192, 0, 2, 1][..], &[0; 6], &[192, 0, 2, 9]].concat();
    let session = [&[0x11, 0, 0, 7, 0, 62, 0, 0x21][..], &v4(6, 0, &tcp(80, 2))].concat();
    let packets = [
        ("syn", frame(HOST, &[], 0x0800, &v4(6, 0, &tcp(80, 0x02)))),
        ("data", frame(HOST, &[], 0x0800, &v4(6, 0, &tcp(443, 0x18)))),
        ("dns", frame(HOST, &[], 0x0800, &v4(17, 0, &udp(53)))),
        ("later", frame(HOST, &[], 0x0800, &v4(17, 0x2001, &udp(53)))),
        ("mdns6", frame(GROUP, &[], 0x86dd, &v6(17, &udp(5353)))),
        ("ping6", frame(HOST, &[], 0x86dd, &v6(58, &[128, 0, 0, 0, 0, 1, 0, 1]))),
        ("arp", frame([0xff; 6], &[], 0x0806, &arp)),
        ("tag", frame(HOST, &[(0x8100, 100)], 0x0800, &v4(6, 0, &tcp(80, 0x02)))),
        ("qinq", frame(HOST, &[(0x88a8, 7), (0x8100, 100)], 0x0800, &v4(17, 0, &udp(53)))),
        ("mpls", frame(HOST, &[], 0x8847, &[&[0, 0, 0x51, 64][..], &v4(6, 0, &tcp(80, 2))].concat())),
        ("pppoe", frame(HOST, &[], 0x8864, &session)),
        ("stp", frame(HOST, &[], 38, &[0x42, 0x42, 3, 0, 0, 0, 0, 0])),
    ];
    for (expression, expected) in [
        ("ip", "syn data dns later"),
        ("tcp", "syn data"),
        ("udp", "dns later mdns6"),
        ("port 53", "dns"),
        ("port domain or 80", "syn dns"),
        ("tcp port (80 or 443)", "syn data"),
        ("src port 5353 and not dst port domain", "mdns6"),
        ("portrange 50-80", "syn dns"),
        ("host 192.0.2.1", "syn data dns later arp"),
        ("arp host 192.0.2.9", "arp"),
        ("src or dst host 198.51.100.2", "syn data dns later"),
        ("src and dst net 192.0.2", "arp"),
        ("dst net 198.51.0.0 mask 255.255.0.0", "syn data dns later"),
        ("ip6 host ff02::fb", "mdns6 ping6"),
        ("src net 2001:db8::/32", "mdns6 ping6"),
        ("tcp[tcpflags] & tcp-syn != 0", "syn"),
        ("tcp[13] = 0x18", "data"),
        ("udp[8:2] = 0x8000", "dns"),
        ("icmp6[icmp6type] = icmp6-echo", "ping6"),
        ("ip6[6] = 58", "ping6"),
        ("ip[6:2] & 0x1fff != 0", "later"),
        ("ether broadcast", "arp"),
        ("ether multicast", "mdns6 arp"),
        ("ether dst 33:33:00:00:00:fb", "mdns6"),
        ("ether host 02-02-02-02-02-02 and arp", "arp"),
        ("ether[12:2] < 1500", "stp"),
        ("stp or llc u", "stp"),
        ("vlan", "tag qinq"),
        ("vlan 100", "tag"),
        ("vlan 7 and vlan 100 and udp port 53", "qinq"),
        ("mpls 5 and host 192.0.2.1 and tcp port 80", "mpls"),
        ("pppoes 7 and tcp port 80", "pppoe"),
        ("less 46", "dns later arp stp"),
        ("greater 62", "mdns6 ping6 pppoe"),
        ("len = 54", "syn data qinq"),
        ("tcp or vlan and vlan and 1 = 1", "qinq"),
        ("proto \\tcp and ip[8] * 2 = 0x80 and len > 50", "syn data"),
        ("", "syn data dns later mdns6 ping6 arp tag qinq mpls pppoe stp"),
    ] {
        let program = ethernet(expression);
        let found: Vec<&str> = packets
            .iter()
            .filter(|(_, bytes)| matches(&program, bytes, None))
            .map(|(name, _)| *name)
            .collect();
        let expected: Vec<&str> = expected.split(' ').collect();
        assert_eq!(found, expected, "{expression}");
    }
}

#[test]
fn listings_are_those_of_tcpdump() {
    // tcpdump 4.99.3 -y EN10MB -s 262144 -d
    let expected = "\
(000) ldh      [12]
(001) jeq      #0x800           jt 2\tjf 10
(002) ldb      [23]
(003) jeq      #0x6             jt 4\tjf 10
(004) ldh      [20]
(005) jset     #0x1fff          jt 10\tjf 6
(006) ldxb     4*([14]&0xf)
(007) ldb      [x + 27]
(008) jset     #0x2             jt 9\tjf 10
(009) ret      #262144
(010) ret      #0
";
    assert_eq!(dump("tcp[13] & 2 != 0", DumpStyle::Assembly), expected);
    let expected = "(000) ld       #pktlen\n(001) neg      \n(002) mod      #5\n(003) jgt      #0x5             \
                    jt 4\tjf 5\n(004) ret      #262144\n(005) ret      #0\n";
    assert_eq!(dump("(-len) % 5 > 5", DumpStyle::Assembly), expected);
    let expected = "{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000806 },\n{ 0x6, 0, 0, 0x00040000 },\n\
                    { 0x6, 0, 0, 0x00000000 },\n";
    assert_eq!(dump("arp", DumpStyle::C), expected);
    assert_eq!(dump("arp", DumpStyle::Decimal), "4\n40 0 0 12\n21 0 1 2054\n6 0 0 262144\n6 0 0 0\n");
}

/// Beside each length is that of tcpdump 4.99.3 for the same expression.
#[test]
fn programs_are_no_longer_than_documented() {
    for (expression, ours, theirs) in [
        ("tcp port 80", 20, 20),
        ("port 80 or port 443", 27, 27),
        ("host 192.168.1.1 and not (port 80 or port 443)", 27, 27),
        ("vlan and (tcp or udp)", 17, 17),
        ("not port 80 or 443", 32, 32),
        ("5 > ip[1]", 6, 8),
        ("ip[0] > ip[1]", 8, 10),
        ("mpls", 4, 4),
    ] {
        let found = ethernet(expression).instructions().len();
        assert!(found == ours && found <= theirs, "{}", dump(expression, DumpStyle::Assembly));
    }
}

#[test]
fn a_target_out_of_reach_gets_a_long_jump() {
    let ports: Vec<String> = (1..400).map(|port| format!("dst port {}", port * 3)).collect();
    let program = ethernet(&ports.join(" or "));
    assert!(program.instructions().iter().any(|line| line.code == code::JA));
    for port in 0..1_300 {
        let expected = port % 3 == 0 && (1..400).contains(&(port / 3));
        let tcp_frame = frame(HOST, &[], 0x0800, &v4(6, 0, &tcp(port, 2)));
        let udp_frame = frame(HOST, &[], 0x86dd, &v6(17, &udp(port)));
        assert_eq!(matches(&program, &tcp_frame, None), expected, "{port}");
        assert_eq!(matches(&program, &udp_frame, None), expected, "{port}");
    }
}

#[test]
fn a_tag_matches_in_the_frame_and_in_its_metadata() {
    let network = v4(6, 0, &tcp(80, 2));
    let inner = |tags| frame(HOST, tags, 0x0800, &network);
    let plain = inner(&[]);
    let tagged = inner(&[(0x8100, 100)]);
    let twice = inner(&[(0x88a8, 7), (0x8100, 100)]);
    for (expression, plain_frame, beside, inside, both, twice_inside) in [
        ("vlan", false, true, true, true, true),
        ("not vlan", true, false, false, false, false),
        ("vlan 100", false, true, true, false, false),
        ("vlan 7 and vlan 100 and tcp port 80", false, false, false, true, true),
        ("vlan 100 and tcp dst port 80 and host 192.0.2.1", false, true, true, false, false),
        ("vlan and tcp[13] & 2 != 0", false, true, true, false, false),
        ("vlan and not tcp", false, false, false, true, true),
        ("tcp", true, true, false, false, false),
    ] {
        let program = compile_for(Target::Kernel, expression, LinkType::ETHERNET, 96).unwrap();
        assert_eq!(matches(&program, &plain, None), plain_frame, "{expression}, no tag");
        assert_eq!(matches(&program, &plain, Some(0x2064)), beside, "{expression}, taken off");
        assert_eq!(matches(&program, &tagged, None), inside, "{expression}, in the frame");
        assert_eq!(matches(&program, &tagged, Some(7)), both, "{expression}, outer taken off");
        assert_eq!(matches(&program, &twice, None), twice_inside, "{expression}, both in the frame");
        // For files nothing stands beside the frame.
        assert_eq!(matches(&ethernet(expression), &tagged, None), inside, "{expression}, file");
    }
}

#[test]
fn capture_metadata_is_rejected_for_files() {
    let live = |text| compile_for(Target::Kernel, text, LinkType::ETHERNET, 96);
    assert!(live("inbound").is_ok() && live("ifindex 3 and outbound").is_ok());
    let error = compile("inbound", LinkType::ETHERNET, 96).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column 1: 'inbound and outbound' is known to the kernel only, not in a file"
    );
    assert!(compile("inbound", LinkType::LINUX_SLL, 96).is_ok());
}

#[test]
fn a_loopback_family_matches_in_both_byte_orders() {
    let program = compile("tcp port 80", LinkType::NULL, 96).unwrap();
    for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
        assert!(matches(&program, &[&family[..], &v4(6, 0, &tcp(80, 2))].concat(), None));
    }
    for family in [[30, 0, 0, 0], [0, 0, 0, 24], [28, 0, 0, 0]] {
        assert!(matches(&program, &[&family[..], &v6(6, &tcp(80, 2))].concat(), None));
    }
    assert!(!matches(&program, &[&[3, 0, 0, 0][..], &v4(6, 0, &tcp(80, 2))].concat(), None));
}

#[test]
fn protochain_steps_over_extension_headers() {
    let hop_by_hop = [43, 0, 1, 4, 0, 0, 0, 0];
    let routing = [44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let fragment = [51, 0, 0, 1, 0, 0, 0, 9];
    let authentication = [6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let payload = [&hop_by_hop[..], &routing, &fragment, &authentication, &tcp(80, 2)].concat();
    let program = ethernet("ip6 protochain 6");
    assert!(matches(&program, &frame(HOST, &[], 0x86dd, &v6(0, &payload)), None));
    assert!(!matches(&program, &frame(HOST, &[], 0x86dd, &v6(59, &payload)), None));
    assert!(!matches(&ethernet("ip6 proto 6"), &frame(HOST, &[], 0x86dd, &v6(0, &payload)), None));
    let payload = [&authentication[..], &tcp(80, 2)].concat();
    assert!(matches(&ethernet("protochain \\tcp"), &frame(HOST, &[], 0x0800, &v4(51, 0, &payload)), None));
    assert!(!matches(&ethernet("ip protochain 17"), &frame(HOST, &[], 0x0800, &v4(51, 0, &payload)), None));
}

#[test]
fn a_truncated_frame_does_not_match() {
    let packet = frame(HOST, &[(0x8100, 100)], 0x0800, &v4(6, 0, &tcp(80, 2)));
    let program = ethernet("vlan 100 and tcp[13] = 2");
    for cut in 0..packet.len() {
        assert_eq!(
            matches(&program, packet.get(..cut).unwrap(), None),
            cut > 14 + 4 + 20 + 13,
            "cut at {cut}"
        );
    }
}

#[test]
fn mistakes_are_reported_with_their_column() {
    for (expression, message) in [
        ("host", "column 5: expected an address after 'host'"),
        ("tcp or host", "column 12: expected an address after 'host'"),
        ("host example.org", "column 6: expected an address: names of hosts are not looked up"),
        ("tcp frobnicate", "column 5: expected 'and', 'or' or the end after 'tcp'"),
        ("frobnicate", "column 1: unknown word; expected a protocol, 'host', 'net', 'port', ..."),
        ("port 70000", "column 6: the port is more than 65535"),
        ("udp port http", "column 10: 'udp' does not go with a service of another transport"),
        ("tcp port nosuch", "column 10: unknown port; expected a number or a well-known name"),
        ("net 10.0.0.1/8", "column 5: expected a network: bits are set outside the mask"),
        ("net 10.0.0.0/33", "column 14: the mask length is more than 32"),
        ("ip host ::1", "column 9: 'ip' does not go with an IPv6 address"),
        ("tcp host 1.2.3.4", "column 10: 'tcp' does not go with a host"),
        ("ip[0:3] = 1", "column 6: expected a size of 1, 2 or 4 bytes"),
        ("ip[0] / 0 = 1", "column 7: division by zero"),
        ("ip[0] << 32 = 1", "column 7: shift by more than 31 bits"),
        ("ip[0]", "column 6: expected a comparison: =, !=, <, <=, > or >= after ']'"),
        ("esp[0] = 1", "column 1: 'esp' does not go with '['"),
        ("arp broadcast", "column 1: 'arp' does not go with 'broadcast'; only 'ether' and 'ip' do"),
        ("tcp proto 1", "column 11: 'tcp' does not go with 'proto'"),
        ("vlan 4096", "column 6: VLAN identifier is more than 4095"),
        ("(tcp or udp", "column 12: expected 'and', 'or' or ')' after 'udp'"),
        ("gateway 1.2.3.4", "column 1: 'gateway' is not supported"),
        ("tcp and ifname eth0", "column 9: 'ifname' is not supported"),
        ("tcp ; udp", "column 5: unexpected character"),
        ("ü", "column 1: unexpected character"),
        ("tcp and 80", "column 9: expected 'host', 'net', 'port' or the like before an address"),
        ("ip[99999999999] = 1", "column 4: expected a number of at most 32 bits"),
        ("arp and ip", "column 1: no packet can match"),
        (
            "ether",
            "column 6: expected 'host', 'proto', 'broadcast', 'multicast', 'src', 'dst' or '[' after 'ether'",
        ),
        ("host 1.2.3.4 mask", "column 18: expected a mask such as 255.255.0.0 after 'mask'"),
    ] {
        let error = compile(expression, LinkType::ETHERNET, 96).expect_err(expression);
        assert_eq!(error.to_string(), message, "{expression}");
    }
    let error = compile("vlan", LinkType::RAW, 96).unwrap_err();
    assert_eq!(error.to_string(), "column 1: frames of link type RAW have no VLAN tags here");
    let error = compile("tcp", LinkType(105), 96).unwrap_err();
    assert!(matches!(error.reason, ExpressionErrorReason::NotOnLink { .. }));
}
