//! Connections to ports that malware is known to use.

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::{http, tls};
use crate::packet::{Encapsulation, Family, Path};
use crate::{Connection, Packets, Timeline};

const FIRES: &[Expected] = &[("suspicious_port", "suspicious_port")];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "suspicious-port-4444",
        "an internal host connects to port 4444 of an external one",
        FIRES,
        |p| outbound(p, 4_444, Family::V4, Encapsulation::Plain),
    ),
    Scenario::fires(
        "suspicious-port-31337",
        "an internal host connects to port 31337 of an external one",
        FIRES,
        |p| outbound(p, 31_337, Family::V4, Encapsulation::Plain),
    ),
    Scenario::fires("suspicious-port-ipv6", "an internal host connects to port 4444 over IPv6", FIRES, |p| {
        outbound(p, 4_444, Family::V6, Encapsulation::Plain)
    }),
    Scenario::fires(
        "suspicious-port-vlan",
        "an internal host connects to port 31337 inside a VLAN",
        FIRES,
        |p| outbound(p, 31_337, Family::V4, Encapsulation::Vlan(100)),
    ),
    Scenario::fires(
        "suspicious-port-inside",
        "an internal host connects to port 4444 of another",
        FIRES,
        |p| reverse_shell(p, &Path::between(&p.topology.attacker, &p.topology.victim, Family::V4), 4_444),
    ),
    Scenario::silent("suspicious-port-ephemeral", "4444 and 31337 as client ports", ephemeral),
    Scenario::silent("suspicious-port-ordinary", "a connection to port 4443, next to a listed one", |p| {
        outbound(p, 4_443, Family::V4, Encapsulation::Plain)
    }),
];

/// Connection of the internal client to `port` of the external host.
fn outbound(parameters: &Parameters, port: u16, family: Family, encapsulation: Encapsulation) -> Packets {
    let mut path = Path::between(&parameters.topology.client, &parameters.topology.outside, family);
    path.link.encapsulation = encapsulation;
    reverse_shell(parameters, &path, port)
}

/// Reverse shell: the client receives two commands and sends their output.
fn reverse_shell(parameters: &Parameters, path: &Path, port: u16) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let mut connection = Connection::new(path.clone(), port, MILLISECOND * 20, &mut random);
    connection.open(&mut timeline);
    for (command, answer) in [("id\n", "uid=0(root) gid=0(root) groups=0(root)\n"), ("uname\n", "Linux\n")] {
        timeline.wait(MILLISECOND * 700);
        connection.receive(&mut timeline, command.as_bytes());
        connection.send(&mut timeline, answer.as_bytes());
    }
    connection.close(&mut timeline);
    timeline.play()
}

/// Connections whose client ports are on the list; the server ports are not.
fn ephemeral(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    for (port, family) in [(4_444, Family::V4), (31_337, Family::V4), (4_444, Family::V6)] {
        let path = Path::between(&parameters.topology.client, &parameters.topology.outside, family);
        let mut connection = Connection::from_port(path, port, tls::PORT, MILLISECOND * 20, &mut random);
        let hello = tls::client_hello("www.example.net", &mut random);
        connection.exchange(&mut timeline, &hello, &tls::server_hello(900, &mut random));
        connection.close(&mut timeline);
        timeline.wait(MILLISECOND * 300);
    }
    let path = Path::between(&parameters.topology.client, &parameters.topology.victim, Family::V4);
    let mut connection = Connection::from_port(path, 4_444, http::PORT, MILLISECOND, &mut random);
    let request = http::request("GET", "intranet.example.net", "/");
    connection.exchange(&mut timeline, &request, &http::response("200 OK", "text/plain", b"hello\n"));
    connection.close(&mut timeline);
    timeline.play()
}
