//! Head of the sealed log of a sensor: what the collector remembers of it.

use std::fmt;

use sentinel_units::Timestamp;
use sentinel_uplink::LogHead;

/// Latest head of a sensor, and the last contradiction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogHeadState {
    /// Latest head.
    pub head: LogHead,
    /// Time of its arrival.
    pub received_at: Timestamp,
    /// Heads that contradicted the one before them.
    pub faults: u64,
    /// The head that was contradicted last, and when: `sentinel log verify --head` with it finds what is wrong.
    pub contradicted: Option<(LogHead, Timestamp)>,
}

impl LogHeadState {
    /// Returns true if the log was rolled back, wiped or rewritten since the sensor was enrolled.
    #[must_use]
    pub const fn is_contradicted(&self) -> bool {
        self.faults > 0
    }
}

/// Returns true if a log with head `before` can have head `after` later: number and epoch never fall, and an equal number has an
/// equal chain.
#[must_use]
pub fn may_follow(before: &LogHead, after: &LogHead) -> bool {
    let is_same = after.next_id == before.next_id;
    after.next_id >= before.next_id
        && after.epoch >= before.epoch
        && (!is_same || after.chain == before.chain)
}

/// `NUMBER:EPOCH:CHAIN`, as `sentinel log verify --head` takes it.
#[derive(Clone, Copy, Debug)]
pub struct HeadText<'h>(pub &'h LogHead);

impl fmt::Display for HeadText<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:", self.0.next_id, self.0.epoch)?;
        self.0.chain.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_epochs_never_fall_and_equal_numbers_have_equal_chains() {
        let head = LogHead { next_id: 10, epoch: 2, chain: [1; 32] };
        assert!(may_follow(&head, &head));
        assert!(may_follow(&head, &LogHead { next_id: 11, chain: [2; 32], ..head }));
        assert!(may_follow(&head, &LogHead { next_id: 11, epoch: 3, chain: [2; 32] }));
        assert!(!may_follow(&head, &LogHead { chain: [2; 32], ..head }), "sealed again");
        assert!(!may_follow(&head, &LogHead { next_id: 9, ..head }), "rolled back");
        assert!(!may_follow(&head, &LogHead { next_id: 50, epoch: 1, chain: [2; 32] }), "made up");
        assert_eq!(HeadText(&head).to_string(), format!("10:2:{}", "01".repeat(32)));
    }
}
