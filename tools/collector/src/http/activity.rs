//! Activity of a connection, as its socket and its requests report it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::HttpLimit;

/// Phase of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Waits for a request, or has sent a part of its header.
    Waiting,
    /// A request is being answered.
    Request,
    /// An event stream is open.
    Stream,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// True if bytes have arrived since the last answer, or if there was none yet.
    has_received: bool,
    /// True while the socket takes no more bytes.
    is_write_blocked: bool,
    /// True once the socket took no bytes for longer than it may.
    has_stalled: bool,
}

/// Activity of a connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Waiting,
            since: Instant::now(),
            has_received: true,
            is_write_blocked: false,
            has_stalled: false,
        })))
    }
}

impl Activity {
    /// A request has arrived; it is answered when the result is dropped.
    pub(super) fn begin_request(&self) -> RequestGuard {
        self.enter(Phase::Request);
        RequestGuard(self.clone())
    }

    /// Start of the wait for a request; none while one is answered, or while an answer has not left.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.phase == Phase::Waiting && !state.is_write_blocked).then_some(state.since)
    }

    /// Returns true if a request has been answered for longer than `limit`. Event streams last as long as they like.
    pub(super) fn is_overdue(&self, now: Instant, limit: Duration) -> bool {
        let state = self.lock();
        // An answer may leave after its handler has ended: `Waiting` and blocked.
        let is_answering =
            state.phase == Phase::Request || (state.phase == Phase::Waiting && state.is_write_blocked);
        is_answering && now.saturating_duration_since(state.since) > limit
    }

    pub(super) fn record_received(&self) {
        self.lock().has_received = true;
    }

    pub(super) fn set_write_blocked(&self, is_blocked: bool) {
        self.lock().is_write_blocked = is_blocked;
    }

    pub(super) fn set_stalled(&self) {
        self.lock().has_stalled = true;
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.lock().has_stalled
    }

    /// The limit that took effect when the time for a header is over.
    pub(super) fn header_limit(&self) -> HttpLimit {
        if self.lock().has_received { HttpLimit::HeaderTimeout } else { HttpLimit::IdleTimeout }
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.since = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct RequestGuard(Activity);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.enter(Phase::Waiting);
        self.0.lock().has_received = false;
    }
}

/// The client of a request; an extension of every request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Remote address of the connection.
    pub address: SocketAddr,
    activity: Activity,
}

impl Peer {
    pub(super) const fn new(address: SocketAddr, activity: Activity) -> Self {
        Self { address, activity }
    }

    /// Declares that the answer is an event stream: it has no end, so no time by which it has to have left.
    pub fn open_stream(&self) {
        self.activity.enter(Phase::Stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_between_answers_that_have_left() {
        let activity = Activity::default();
        assert!(activity.idle_since().is_some());
        let request = activity.begin_request();
        assert!(activity.idle_since().is_none());
        activity.set_write_blocked(true);
        drop(request);
        assert!(activity.idle_since().is_none(), "the answer has not left");
        assert!(activity.is_overdue(Instant::now() + Duration::from_secs(2), Duration::from_secs(1)));
        activity.set_write_blocked(false);
        assert!(activity.idle_since().is_some());
        assert!(!activity.is_overdue(Instant::now() + Duration::from_secs(2), Duration::from_secs(1)));
    }

    #[test]
    fn half_a_header_and_no_request_at_all_are_different_limits() {
        let activity = Activity::default();
        assert_eq!(activity.header_limit(), HttpLimit::HeaderTimeout, "nothing arrived since the connect");
        drop(activity.begin_request());
        assert_eq!(activity.header_limit(), HttpLimit::IdleTimeout);
        activity.record_received();
        assert_eq!(activity.header_limit(), HttpLimit::HeaderTimeout);
    }
}
