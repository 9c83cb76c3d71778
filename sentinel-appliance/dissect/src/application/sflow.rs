//! sFlow version 5: samples of packets and counters that a switch reports.
//!
//! Read first: <https://sflow.org/sflow_version_5.txt> section 5.

use sentinel_units::service;

use super::protocol::{Body, Protocol};
use crate::read::Cursor;

/// sFlow, by version, kind of address and lengths that must add up.
pub const PROTOCOL: Protocol = Protocol {
    datagram: Some(|payload, _| Message::parse(payload).is_some()),
    ..Protocol::new(service::SFLOW, "SFLOW", "sFlow version 5")
};
pub(super) const PROTOCOLS: &[Protocol] = &[PROTOCOL];
pub(super) const FUZZ_BODIES: &[Body] = &[("sflow", fuzz)];

/// Most samples of a datagram.
const MAX_SAMPLES: usize = 64;

/// A datagram of samples.
#[derive(Clone, Copy, Debug)]
pub struct Message<'p> {
    /// Address of the agent: four or sixteen bytes.
    pub agent: &'p [u8],
    /// Sub-agent, number of the datagram, uptime in milliseconds, number of samples: four bytes each.
    pub header: &'p [u8],
    samples: Cursor<'p>,
}

impl<'p> Message<'p> {
    /// Reads a datagram; `None` if it is not sFlow version 5, or if a sample is cut.
    #[must_use]
    pub fn parse(payload: &'p [u8]) -> Option<Self> {
        let mut at = Cursor::new(payload);
        let agent_len = match (at.u32().ok()?, at.u32().ok()?) {
            (5, 1) => 4,
            (5, 2) => 16,
            _ => return None,
        };
        let (agent, header) = (at.take(agent_len).ok()?, at.array::<16>().ok()?);
        let [.., a, b, c, d] = *header;
        let count = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        let mut end = at;
        for _ in 0..count.min(MAX_SAMPLES) {
            sample(&mut end)?;
        }
        let is_whole = end.is_empty() || count > MAX_SAMPLES;
        is_whole.then_some(Self { agent, header, samples: at })
    }

    /// Formats of the samples: 1 flow, 2 counters, 3 and 4 the same with longer numbers. At most 64.
    pub fn formats(&self) -> impl Iterator<Item = u32> + use<'p> {
        let mut at = self.samples;
        core::iter::from_fn(move || sample(&mut at)).take(MAX_SAMPLES)
    }
}

fn sample(at: &mut Cursor<'_>) -> Option<u32> {
    let (format, len) = (at.u32().ok()?, at.u32().ok()?);
    at.take(usize::try_from(len).ok()?).ok()?;
    Some(format)
}

/// Fuzz body: a datagram.
fn fuzz(bytes: &[u8]) {
    let Some(message) = Message::parse(bytes) else { return };
    assert!(matches!(message.agent.len(), 4 | 16) && message.header.len() == 16);
    assert!(message.formats().count() <= MAX_SAMPLES);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn samples_must_end_with_the_datagram() {
        let header = [0, 0, 0, 5, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0, 0, 2];
        let samples = [0, 0, 0, 1, 0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 2, 0, 0, 0, 0];
        let bytes = [&header[..], &samples].concat();
        let message = Message::parse(&bytes).unwrap();
        assert!(message.formats().eq([1, 2]) && message.agent == [192, 0, 2, 1]);
        for cut in 0..bytes.len() {
            assert!(Message::parse(&bytes[..cut]).is_none(), "{cut}");
        }
        assert!(Message::parse(&[&bytes[..], &[0]].concat()).is_none());
    }
}
