//! Large transfers, of which a sensor sees few segments because a flow table of the firewall forwards the others.

use std::time::Duration;

use super::{Expected, Parameters, Scenario};
use crate::application::tls;
use crate::packet::{Family, Path, Tcp, flags};
use crate::{Host, Packets, Timeline};

const LARGE: &[Expected] = &[("large_transfer", "large_transfer")];
/// Bytes between two segments that are seen, a second apart.
const STEP: u32 = 1_250_000;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "ordinary-download",
        "a download of 125 MB, of which a segment a second is seen",
        LARGE,
        |p| transfer(p, &p.topology.outside, &p.topology.client, 100),
    ),
    Scenario::silent("ordinary-download-small", "the same with 90 MB", |p| {
        transfer(p, &p.topology.outside, &p.topology.client, 72)
    }),
    Scenario::fires("ordinary-upload", "an upload of 125 MB, seen the same way", LARGE, |p| {
        transfer(p, &p.topology.client, &p.topology.outside, 100)
    }),
];

/// Segments of `from`, and acknowledgements of them.
fn transfer(parameters: &Parameters, from: &Host, to: &Host, seconds: u32) -> Packets {
    let mut random = parameters.random();
    let client_port = random.ephemeral_port();
    let is_upload = *from == parameters.topology.client;
    let ports = if is_upload { (client_port, tls::PORT) } else { (tls::PORT, client_port) };
    let path = Path::between(from, to, Family::V4);
    let begin = random.word();
    let mut timeline = Timeline::default();
    for second in 0..seconds {
        timeline.seek(Duration::from_secs(second.into()));
        let sequence = begin.wrapping_add(second * STEP);
        let segment = |ports: (u16, u16), numbers: (u32, u32)| Tcp {
            acknowledgement: numbers.1,
            flags: flags::ACK,
            ..Tcp::syn(ports.0, ports.1, numbers.0)
        };
        // The sensor takes a flow that begins with a full segment for a transfer under way.
        let length = if second == 0 { 1_000 } else { 40 };
        timeline.push(path.tcp(&segment(ports, (sequence, 1)), &tls::data(length, &mut random)));
        timeline.wait_us(12_000);
        let answer = segment((ports.1, ports.0), (1, sequence.wrapping_add(45)));
        timeline.push(path.reversed().tcp(&answer, &[]));
    }
    timeline.play()
}
