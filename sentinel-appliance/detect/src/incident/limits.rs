//! Rate limits of incidents and their messages.

use core::time::Duration;

use sentinel_alert::Kind;
use sentinel_units::Timestamp;

/// Limits of the messages about incidents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IncidentLimits {
    /// Idle timeout: time without evidence after which an incident is closed.
    pub idle_timeout: Duration,
    /// Shortest time between two messages of one incident.
    pub update: Duration,
    /// Size of each kind's token bucket: incidents of one kind that may open at once. One token is refilled every two
    /// seconds. Without a token, new sources share one incident of the kind.
    pub burst: u32,
}

/// Time that refills one token. Spoofed addresses must not become an alert each, so a kind without tokens merges its sources.
const REFILL_INTERVAL: Duration = Duration::from_secs(2);

/// Token buckets of all kinds, as theoretical arrival times (generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
pub(super) struct OpeningBuckets {
    /// For each kind, the time at which its bucket will be full again.
    full_at: [Timestamp; Kind::ALL.len()],
}

impl OpeningBuckets {
    /// All buckets full.
    pub(super) const fn new() -> Self {
        Self { full_at: [Timestamp::ZERO; Kind::ALL.len()] }
    }

    /// Takes one token from the kind's bucket of `burst` tokens. Returns false if it is empty.
    pub(super) fn take(&mut self, kind: Kind, burst: u32, now: Timestamp) -> bool {
        let index = Kind::ALL.iter().position(|known| *known == kind);
        let Some(full_at) = index.and_then(|index| self.full_at.get_mut(index)) else { return true };
        let after_this = (*full_at).max(now).after(REFILL_INTERVAL);
        let has_token = after_this <= now.after(REFILL_INTERVAL.saturating_mul(burst));
        if has_token {
            *full_at = after_this;
        }
        has_token
    }
}
