//! Names of services and of often abused zones, in DNS queries.

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::packet::{Encapsulation, Family, Path};
use crate::{Connection, Packets, Timeline, udp_exchange};

const FIRES: &[Expected] =
    &[("chat_app", "chat_app"), ("cloud_storage", "cloud_storage"), ("suspicious_tld", "suspicious_tld")];
/// A name of a chat, one of none, one of a cloud storage, and one in an often abused zone.
const NAMES: &[&str] = &["chat.signal.org", "www.example.net", "WWW.DropBox.com", "account-check.xyz"];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "listed-names",
        "names of a chat, a cloud storage and an often abused zone",
        FIRES,
        |p| questions(p, Family::V4, Encapsulation::Plain, NAMES),
    ),
    Scenario::fires("listed-names-vlan", "the same inside a VLAN", FIRES, |p| {
        questions(p, Family::V4, Encapsulation::Vlan(100), NAMES)
    }),
    Scenario::fires("listed-names-ipv6", "the same over IPv6", FIRES, |p| {
        questions(p, Family::V6, Encapsulation::Plain, NAMES)
    }),
    Scenario::fires("listed-names-twice", "several names of each service, which is told once", FIRES, |p| {
        let names =
            ["signal.org", "updates.signal.org", "dropbox.com", "content.dropbox.com", "xyz", "a.b.xyz"];
        questions(p, Family::V4, Encapsulation::Plain, &names)
    }),
    Scenario::fires("listed-names-tcp", "the same names over TCP", FIRES, stream),
    Scenario::fires(
        "listed-names-forwarded",
        "a resolver at home asks for what its client asked it, which is told of the client alone",
        FIRES,
        forwarded,
    ),
    Scenario::silent("listed-names-near", "names that only look like listed ones", |p| {
        let names = [
            "notdropbox.com",
            "dropbox.com.example.net",
            "mailbox.com",
            "signal.org.example.net",
            "notsignal.org",
            "xyz.example.net",
            "xxyz",
            "home.com",
        ];
        questions(p, Family::V4, Encapsulation::Plain, &names)
    }),
];

/// Questions of the client for names, one a second, each answered.
fn questions(
    parameters: &Parameters,
    family: Family,
    encapsulation: Encapsulation,
    names: &[&str],
) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let mut path = Path::between(&parameters.topology.client, &parameters.topology.gateway, family);
    path.link.encapsulation = encapsulation;
    for name in names {
        let identifier = random.half();
        let query = dns::query(identifier, name, record::A);
        let response =
            dns::response(identifier, name, record::A, &[Answer::A(parameters.topology.outside.v4)]);
        let ports = (random.ephemeral_port(), dns::PORT);
        udp_exchange(&mut timeline, &path, ports, MILLISECOND * 12, (&query, &response));
        timeline.wait(MILLISECOND * 1_000);
    }
    timeline.play()
}

/// Questions of the client to a host at home, each of which that asks outside before it answers.
fn forwarded(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let Parameters { topology, .. } = parameters;
    let down = Path::between(&topology.client, &topology.victim, Family::V4);
    let up = Path::between(&topology.victim, &topology.outside, Family::V4);
    for name in NAMES {
        let identifier = random.half();
        let query = dns::query(identifier, name, record::A);
        let response = dns::response(identifier, name, record::A, &[Answer::A(topology.outside.v4)]);
        let (client_port, port) = (random.ephemeral_port(), random.ephemeral_port());
        timeline.push(down.udp(client_port, dns::PORT, &query));
        timeline.wait(MILLISECOND);
        udp_exchange(&mut timeline, &up, (port, dns::PORT), MILLISECOND * 12, (&query, &response));
        timeline.wait(MILLISECOND);
        timeline.push(down.reversed().udp(dns::PORT, client_port, &response));
        timeline.wait(MILLISECOND * 1_000);
    }
    timeline.play()
}

/// A connection to the resolver with a question for each name.
fn stream(parameters: &Parameters) -> Packets {
    let mut random = parameters.random();
    let mut timeline = Timeline::default();
    let path = Path::between(&parameters.topology.client, &parameters.topology.gateway, Family::V4);
    let mut connection = Connection::new(path, dns::PORT, MILLISECOND, &mut random);
    for name in NAMES {
        let identifier = random.half();
        let query = dns::query(identifier, name, record::A);
        let response =
            dns::response(identifier, name, record::A, &[Answer::A(parameters.topology.outside.v4)]);
        connection.exchange(&mut timeline, &dns::over_stream(&query), &dns::over_stream(&response));
    }
    connection.close(&mut timeline);
    timeline.play()
}
