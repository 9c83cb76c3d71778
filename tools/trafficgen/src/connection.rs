//! Exchanges between two hosts: a TCP connection with both of its endpoints, a UDP request and its response, an ICMP echo
//! and its reply, a datagram to a closed port.

use std::time::Duration;

use crate::packet::{Icmp, Options, Path, Tcp, flags, protocol, udp};
use crate::{Random, Timeline};

/// TCP connection that is being recorded. Sequence numbers, timestamps and the order of segments are those of two real
/// stacks on a path without loss.
#[derive(Clone, Debug)]
pub struct Connection {
    up: Path,
    down: Path,
    client_port: u16,
    server_port: u16,
    /// Next sequence number of the client and of the server.
    next_sequence: [u32; 2],
    /// One-way delay of the path.
    delay: Duration,
    /// Value of the timestamp option (RFC 7323) at the start of the scenario.
    clock: u32,
}

/// Endpoint that sends a segment.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Sender {
    Client,
    Server,
}

/// Receive window of every segment but a SYN.
const WINDOW: u16 = 502;
/// Receive window of a SYN.
const SYN_WINDOW: u16 = 64_240;
/// Bytes of options on every segment but the first two.
const TIMESTAMPS_LEN: usize = 12;

impl Connection {
    /// Connection along `up`, whose one-way delay is `delay`. Draws the client's port and the initial sequence numbers.
    #[must_use]
    pub fn new(up: Path, server_port: u16, delay: Duration, random: &mut Random) -> Self {
        let client_port = random.ephemeral_port();
        Self::from_port(up, client_port, server_port, delay, random)
    }

    /// Connection from a given client port; otherwise as [`Connection::new`].
    #[must_use]
    pub fn from_port(
        up: Path,
        client_port: u16,
        server_port: u16,
        delay: Duration,
        random: &mut Random,
    ) -> Self {
        let down = up.reversed();
        let next_sequence = [random.word(), random.word()];
        Self { up, down, client_port, server_port, next_sequence, delay, clock: random.word() }
    }

    /// Payload bytes of a full frame.
    #[must_use]
    pub fn segment_size(&self) -> usize {
        self.up.segment_size(TIMESTAMPS_LEN)
    }

    /// Records the three segments of the handshake.
    pub fn open(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, Sender::Client, flags::SYN, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, Sender::Server, flags::SYN | flags::ACK, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, Sender::Client, flags::ACK, &[]);
    }

    /// Records a SYN and the RST of a closed port.
    pub fn refuse(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, Sender::Client, flags::SYN, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, Sender::Server, flags::RST | flags::ACK, &[]);
    }

    /// Records `bytes` from the client, with the server's acknowledgements.
    pub fn send(&mut self, timeline: &mut Timeline, bytes: &[u8]) {
        self.stream(timeline, Sender::Client, bytes);
    }

    /// Records `bytes` from the server, with the client's acknowledgements.
    pub fn receive(&mut self, timeline: &mut Timeline, bytes: &[u8]) {
        self.stream(timeline, Sender::Server, bytes);
    }

    /// Records the handshake, `request` from the client and `response` from the server; the connection stays open.
    pub fn exchange(&mut self, timeline: &mut Timeline, request: &[u8], response: &[u8]) {
        self.open(timeline);
        self.send(timeline, request);
        self.receive(timeline, response);
    }

    /// Records the three segments that close the connection, the client's FIN first.
    pub fn close(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, Sender::Client, flags::FIN | flags::ACK, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, Sender::Server, flags::FIN | flags::ACK, &[]);
        timeline.wait(self.delay);
        self.segment(timeline, Sender::Client, flags::ACK, &[]);
    }

    /// Records the client's RST.
    pub fn reset(&mut self, timeline: &mut Timeline) {
        self.segment(timeline, Sender::Client, flags::RST | flags::ACK, &[]);
    }

    fn stream(&mut self, timeline: &mut Timeline, from: Sender, bytes: &[u8]) {
        let to = match from {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        };
        let size = self.segment_size();
        let last = bytes.len().div_ceil(size);
        for (index, chunk) in bytes.chunks(size).enumerate() {
            let push = if index + 1 == last { flags::PSH } else { 0 };
            self.segment(timeline, from, flags::ACK | push, chunk);
            // Full frames on a gigabit link are 12 us apart.
            timeline.wait_us(12);
            // An acknowledgement for every second segment, and for the last (RFC 9293 section 3.8.6.3).
            if index % 2 == 1 || index + 1 == last {
                let resume = timeline.now();
                timeline.wait(self.delay);
                self.segment(timeline, to, flags::ACK, &[]);
                if index + 1 < last {
                    timeline.seek(resume);
                }
            }
        }
        timeline.wait(self.delay);
    }

    fn segment(&mut self, timeline: &mut Timeline, from: Sender, control: u8, payload: &[u8]) {
        let [client, server] = self.next_sequence;
        let (path, source, destination, sequence, expected) = match from {
            Sender::Client => (&self.up, self.client_port, self.server_port, client, server),
            Sender::Server => (&self.down, self.server_port, self.client_port, server, client),
        };
        let acknowledges = control & flags::ACK != 0;
        let header = Tcp {
            source,
            destination,
            sequence,
            acknowledgement: if acknowledges { expected } else { 0 },
            flags: control,
            window: if control & flags::SYN != 0 { SYN_WINDOW } else { WINDOW },
            options: self.options(timeline, path, control),
        };
        timeline.push(path.tcp(&header, payload));
        let occupied = u32::from(control & (flags::SYN | flags::FIN) != 0);
        let length = u32::try_from(payload.len()).unwrap_or_default() + occupied;
        let [client, server] = &mut self.next_sequence;
        let next = if from == Sender::Client { client } else { server };
        *next = next.wrapping_add(length);
    }

    fn options(&self, timeline: &Timeline, path: &Path, control: u8) -> Options {
        if control & flags::RST != 0 {
            return Options::None;
        }
        let millis = u32::try_from(timeline.now().as_millis() & u128::from(u32::MAX)).unwrap_or_default();
        let sent = self.clock.wrapping_add(millis);
        let echoed = if control & flags::ACK == 0 { 0 } else { sent.wrapping_sub(1) };
        if control & flags::SYN == 0 {
            return Options::Timestamps { sent, echoed };
        }
        let segment_size = u16::try_from(path.segment_size(0)).unwrap_or(u16::MAX);
        Options::Opening { segment_size, sent, echoed }
    }
}

/// Records a UDP request of `ports.0` to `ports.1` along `up` and, `delay` later, the response.
pub fn udp_exchange(
    timeline: &mut Timeline,
    up: &Path,
    ports: (u16, u16),
    delay: Duration,
    (request, response): (&[u8], &[u8]),
) {
    let (client_port, server_port) = ports;
    timeline.push(up.udp(client_port, server_port, request));
    timeline.wait(delay);
    timeline.push(up.reversed().udp(server_port, client_port, response));
}

/// Records an ICMP echo request along `up` and, `delay` later, its reply.
pub fn ping(
    timeline: &mut Timeline,
    up: &Path,
    delay: Duration,
    (identifier, sequence): (u16, u16),
    payload: &[u8],
) {
    timeline.push(up.icmp(&Icmp::EchoRequest { identifier, sequence, payload }));
    timeline.wait(delay);
    timeline.push(up.reversed().icmp(&Icmp::EchoReply { identifier, sequence, payload }));
}

/// Records a datagram to a closed port and, `delay` later, the port unreachable message that quotes it.
pub fn refused_datagram(
    timeline: &mut Timeline,
    up: &Path,
    ports: (u16, u16),
    delay: Duration,
    payload: &[u8],
) {
    let datagram = udp(ports.0, ports.1, &up.network.addresses, payload);
    let packet = up.network.packet(protocol::UDP, &datagram);
    timeline.push(up.wrap(&packet));
    timeline.wait(delay);
    timeline.push(up.reversed().icmp(&Icmp::PortUnreachable(&packet)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topology;
    use crate::packet::Family;

    /// Flags, sequence and acknowledgement of an IPv4 frame without tags.
    fn heads(timeline: Timeline) -> Vec<(u8, u32, u32, usize)> {
        let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        timeline
            .play()
            .map(|frame| {
                let tcp = &frame.bytes[34..];
                let payload = tcp.len() - usize::from(tcp[12] >> 4) * 4;
                (tcp[13], word(&tcp[4..8]), word(&tcp[8..12]), payload)
            })
            .collect()
    }

    #[test]
    fn sequence_numbers_advance_by_the_bytes_sent() {
        let topology = Topology::default();
        let path = Path::between(&topology.client, &topology.victim, Family::V4);
        let mut connection = Connection::new(path, 80, Duration::from_millis(1), &mut Random::new(1));
        connection.next_sequence = [100, 200];
        let mut timeline = Timeline::default();
        connection.open(&mut timeline);
        connection.send(&mut timeline, &[7; 1_500]);
        connection.close(&mut timeline);
        assert_eq!(
            heads(timeline),
            [
                (0x02, 100, 0, 0),
                (0x12, 200, 101, 0),
                (0x10, 101, 201, 0),
                (0x10, 101, 201, 1_448),
                (0x18, 1_549, 201, 52),
                (0x10, 201, 1_601, 0),
                (0x11, 1_601, 201, 0),
                (0x11, 201, 1_602, 0),
                (0x10, 1_602, 202, 0),
            ]
        );
    }

    #[test]
    fn full_segments_fill_a_frame_of_1514_bytes() {
        let topology = Topology::default();
        for family in [Family::V4, Family::V6] {
            let path = Path::between(&topology.client, &topology.victim, family);
            let mut connection = Connection::new(path, 80, Duration::ZERO, &mut Random::new(1));
            let mut timeline = Timeline::default();
            connection.send(&mut timeline, &[0; 4_000]);
            assert_eq!(timeline.play().map(|frame| frame.bytes.len()).max(), Some(1_514));
        }
    }
}
