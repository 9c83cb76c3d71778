//! Noise: spoofed packets of every kind at a rate, under which an attack hides.

use std::time::Duration;

use super::flood::spoofed;
use crate::application::dns::{self, record};
use crate::packet::{Arp, Family, Icmp, Path, Tcp, flags, protocol};
use crate::{Host, Packets, Parameters, Random, TimedFrame, Topology};

/// Packets a second.
pub const NOISE_RATE: u32 = 2_000;
/// Hosts of the observed segment that the noise is sent to; none of them is a role of an attack.
const TARGETS: u32 = 16;

/// Spoofed SYN, ACK, RST, UDP, echo requests, first fragments, DNS queries, DHCP and ARP requests in turn, [`NOISE_RATE`] a second, from made-up
/// addresses outside and inside, for `span`.
#[must_use]
pub fn noise(parameters: &Parameters, span: Duration) -> Packets {
    let topology = parameters.topology;
    let mut random = Random::new(parameters.seed ^ 0x6e6f_6973_6500);
    let gap = Duration::from_secs(1) / NOISE_RATE;
    let count = u32::try_from(span.as_secs()).unwrap_or(u32::MAX).saturating_mul(NOISE_RATE);
    // Off the times of the attack, so that the order of both is never by chance.
    let shift = Duration::from_micros(3);
    Box::new((0..count).map(move |index| TimedFrame {
        offset: gap * index + shift,
        bytes: packet(&topology, index, &mut random),
    }))
}

/// Address inside that the noise may claim to be of: in a network that holds no role of an attack.
fn source(topology: &Topology, random: &mut Random) -> Host {
    if random.chance(60) {
        spoofed(&topology.gateway, random.word())
    } else {
        topology.internal(0x20_0000 | random.word() & 0xffff)
    }
}

fn packet(topology: &Topology, index: u32, random: &mut Random) -> Vec<u8> {
    let from = source(topology, random);
    let to = topology.internal(0x3f_0000 + random.word() % TARGETS);
    let family = if random.chance(30) { Family::V6 } else { Family::V4 };
    let mut path = Path::between(&from, &to, family);
    path.network.identification = random.half();
    let (source_port, port) = (random.ephemeral_port(), random.half() | 1);
    let tcp = |control| Tcp { acknowledgement: 77, flags: control, ..Tcp::syn(source_port, port, 99) };
    match index % 9 {
        0 => path.tcp(&Tcp::syn(source_port, port, random.word()), &[]),
        1 => path.tcp(&tcp(flags::ACK), &[]),
        2 => path.tcp(&tcp(flags::RST), &[]),
        3 => path.udp(source_port, port, &[0x55; 20]),
        4 => path.icmp(&Icmp::EchoRequest { identifier: port, sequence: 1, payload: &[0x55; 8] }),
        5 => {
            let packets = path.network.fragments(protocol::UDP, &[0; 48], 24);
            packets.first().map(|first| path.wrap(first)).unwrap_or_default()
        }
        6 => {
            let name = format!("{}.{}.example.net", random.base32(12), random.base32(6));
            Path::between(&from, &topology.gateway, Family::V4).udp(
                source_port,
                dns::PORT,
                &dns::query(port, &name, record::A),
            )
        }
        7 => path.tcp(&tcp(flags::SYN | flags::ACK), &[]),
        _ => Arp::request(&from, to.v4).frame(),
    }
}
