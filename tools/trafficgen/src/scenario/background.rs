//! Background sources: hosts that each send a packet or two, so that a sensor's tables are full when an attack begins.

use std::time::Duration;

use super::Parameters;
use crate::packet::{Family, Path, Tcp};
use crate::{Random, Timeline};

/// Time between the packets of two background sources.
const SOURCE_INTERVAL: Duration = Duration::from_micros(100);

/// Calls `send` once for each of the [`Parameters::sources`], 100 us apart from the start of the scenario; leaves the
/// write position at the last of them.
pub(super) fn each_source(
    timeline: &mut Timeline,
    parameters: &Parameters,
    mut send: impl FnMut(&mut Timeline, u32),
) {
    for index in 0..parameters.sources {
        timeline.seek(SOURCE_INTERVAL.saturating_mul(index));
        send(timeline, index);
    }
}

/// One SYN to `port` of a server of its own from each of the [`Parameters::sources`]: one table entry each, no alert.
pub(super) fn fill_tables(timeline: &mut Timeline, parameters: &Parameters, port: u16, random: &mut Random) {
    each_source(timeline, parameters, |timeline, index| syn(timeline, parameters, index, port, random));
}

/// A SYN of `count` further sources, `interval` apart from the write position on: they compete for table entries while
/// an attack is under way.
pub(super) fn keep_arriving(
    timeline: &mut Timeline,
    parameters: &Parameters,
    port: u16,
    (count, interval): (u32, Duration),
    random: &mut Random,
) {
    let begin = timeline.now();
    for index in 0..count {
        timeline.seek(begin + interval.saturating_mul(index));
        syn(timeline, parameters, parameters.sources + index, port, random);
    }
}

/// One SYN without an answer, from the `index`-th further internal host to the `index`-th further external one.
pub(super) fn syn(
    timeline: &mut Timeline,
    parameters: &Parameters,
    index: u32,
    port: u16,
    random: &mut Random,
) {
    let topology = &parameters.topology;
    let path = Path::between(&topology.internal(index), &topology.external(index), Family::V4);
    timeline.push(path.tcp(&Tcp::syn(random.ephemeral_port(), port, random.word()), &[]));
}
