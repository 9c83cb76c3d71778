//! TCP connections of a household, with the headers of bulk segments only.

use super::frame::Node;
use super::scene::Scene;
use crate::packet::{flags, protocol};

/// TCP connection between two nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tcp {
    client: Node,
    server: Node,
    ports: (u16, u16),
    sequence: [u32; 2],
    /// One-way delay.
    delay_us: u64,
}

/// Direction of a transfer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// From the client.
    Up,
    /// From the server.
    Down,
}

/// Payload bytes of a full segment with timestamps.
pub(super) const SEGMENT: usize = 1_448;
/// Segments that an interface with receive offload merges at most here.
const MERGED: usize = 16;
/// Bytes that one part of a transfer sends at most.
const TRANSFER_PART: u64 = 4_000_000;
/// Time of the retransmissions of a SYN (RFC 6298: 1 s, doubled).
const RETRIES_S: [u64; 3] = [1, 2, 4];

impl Tcp {
    /// Connection from an ephemeral port of `client`; the delay is that of a local network or of the Internet.
    pub(super) fn new(scene: &mut Scene<'_>, client: Node, server: Node, port: u16) -> Self {
        let delay_us = if scene.is_inside(&server) && scene.is_inside(&client) {
            scene.random.within(150..900)
        } else {
            scene.random.within(4_000..45_000)
        };
        let client_port = scene.random.ephemeral_port();
        let sequence = [scene.random.word(), scene.random.word()];
        Self { client, server, ports: (client_port, port), sequence, delay_us }
    }

    /// Handshake; returns false if the Internet is down, and the SYN repeated in vain.
    pub(super) fn open(&mut self, scene: &mut Scene<'_>) -> bool {
        if scene.is_cut_off(&self.client, &self.server) {
            scene.during_outage(|scene| self.unanswered(scene));
            return false;
        }
        self.segment(scene, Way::Up, flags::SYN, &[], 0);
        scene.wait_us(self.delay_us * 2);
        self.segment(scene, Way::Down, flags::SYN | flags::ACK, &[], 0);
        scene.wait_us(200);
        self.segment(scene, Way::Up, flags::ACK, &[], 0);
        true
    }

    /// SYN and the RST of a closed port.
    pub(super) fn refused(&mut self, scene: &mut Scene<'_>) {
        self.segment(scene, Way::Up, flags::SYN, &[], 0);
        scene.wait_us(self.delay_us * 2);
        self.segment(scene, Way::Down, flags::RST | flags::ACK, &[], 0);
    }

    /// SYN and its repetitions, without a response. The time of the scene is afterwards that of the first SYN.
    pub(super) fn unanswered(&mut self, scene: &mut Scene<'_>) {
        let (begin, sequence) = (scene.now, self.sequence);
        for retry_after_s in RETRIES_S {
            self.sequence = sequence;
            self.segment(scene, Way::Up, flags::SYN, &[], 0);
            scene.wait_s(retry_after_s);
        }
        scene.now = begin;
    }

    /// Message of `length` bytes that begins with `head`, and its acknowledgement.
    pub(super) fn message(&mut self, scene: &mut Scene<'_>, way: Way, head: &[u8], length: usize) {
        let length = length.max(head.len());
        let mut sent = 0;
        while sent < length.max(1) {
            let part = (length - sent).min(SEGMENT);
            let start = head.get(sent..head.len().min(sent + part)).unwrap_or_default();
            self.segment(scene, way, flags::ACK | flags::PSH, start, part);
            scene.wait_us(20);
            sent += part.max(1);
        }
        scene.wait_us(self.delay_us * 2);
        self.segment(scene, way.opposite(), flags::ACK, &[], 0);
    }

    /// `bytes` at `rate` bits per second, with an acknowledgement for every second segment. Takes the time that it takes: for more
    /// than a second use [`Tcp::transfer`].
    pub(super) fn bulk(&mut self, scene: &mut Scene<'_>, way: Way, bytes: u64, rate: u64) {
        let unit = if scene.house.merges { SEGMENT * MERGED } else { SEGMENT };
        let mut left = bytes;
        let mut index = 0_u32;
        while left > 0 {
            let part = unit.min(usize::try_from(left).unwrap_or(unit));
            self.segment(scene, way, flags::ACK, &[], part);
            let part = u64::try_from(part).unwrap_or(left);
            scene.wait_us((part * 8_000_000 / rate.max(1)).max(1));
            if index % 2 == 1 {
                self.segment(scene, way.opposite(), flags::ACK, &[], 0);
            }
            index = index.wrapping_add(1);
            left -= part;
        }
    }

    /// Sends `bytes` at `rate` bits per second, beside what else the actor does, and closes the connection.
    pub(super) fn transfer(mut self, scene: &mut Scene<'_>, way: Way, bytes: u64, rate: u64) {
        let mut left = bytes;
        scene.spawn(Box::new(move |scene| {
            let part = left.min(TRANSFER_PART).min(rate / 8 + 1);
            self.bulk(scene, way, part, rate);
            left -= part;
            if left == 0 {
                self.close(scene);
                return None;
            }
            Some(1)
        }));
    }

    /// FIN of both sides.
    pub(super) fn close(&mut self, scene: &mut Scene<'_>) {
        self.segment(scene, Way::Up, flags::FIN | flags::ACK, &[], 0);
        scene.wait_us(self.delay_us * 2);
        self.segment(scene, Way::Down, flags::FIN | flags::ACK, &[], 0);
        scene.wait_us(100);
        self.segment(scene, Way::Up, flags::ACK, &[], 0);
    }

    /// Request and response of these lengths in a connection of its own; returns false if it could not be opened.
    pub(super) fn request(&mut self, scene: &mut Scene<'_>, request: &[u8], up: usize, down: usize) -> bool {
        if !self.open(scene) {
            return false;
        }
        self.message(scene, Way::Up, request, up);
        self.bulk(scene, Way::Down, u64::try_from(down).unwrap_or(0), 40_000_000);
        self.close(scene);
        true
    }

    fn segment(&mut self, scene: &mut Scene<'_>, way: Way, control: u8, head: &[u8], length: usize) {
        let [client, server] = self.sequence;
        let (from, to, ports, sequence, other) = match way {
            Way::Up => (self.client, self.server, self.ports, client, server),
            Way::Down => (self.server, self.client, (self.ports.1, self.ports.0), server, client),
        };
        let acknowledged = if control & flags::ACK == 0 { 0 } else { other };
        let is_opening = control & flags::SYN != 0;
        let mut bytes = Vec::with_capacity(40 + head.len());
        bytes.extend(ports.0.to_be_bytes());
        bytes.extend(ports.1.to_be_bytes());
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(acknowledged.to_be_bytes());
        bytes.extend([if is_opening { 0x60 } else { 0x50 }, control, 0xfa, 0xf0, 0, 0, 0, 0]);
        if is_opening {
            bytes.extend([2, 4, 5, 0xb4]); // maximum segment size 1,460
        }
        let header_len = bytes.len();
        bytes.extend_from_slice(head);
        scene.packet(&from, &to, protocol::TCP, &bytes, header_len + length.max(head.len()));
        let occupied = u32::from(control & (flags::SYN | flags::FIN) != 0);
        let advance = u32::try_from(length.max(head.len())).unwrap_or(0) + occupied;
        let [client, server] = &mut self.sequence;
        let next = if way == Way::Up { client } else { server };
        *next = next.wrapping_add(advance);
    }
}

impl Way {
    const fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}
