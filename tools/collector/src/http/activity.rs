//! Activity of a connection, as its socket and its requests report it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::HttpLimit;

/// A request that is being answered, or an event stream that is open. HTTP/2 has several on one connection.
#[derive(Clone, Copy, Debug)]
struct Answer {
    number: u64,
    since: Instant,
    is_stream: bool,
}

#[derive(Debug)]
struct State {
    /// As many as the connection may have streams.
    answers: Vec<Answer>,
    next: u64,
    /// End of the last answer; the connect before the first.
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
            answers: Vec::new(),
            next: 0,
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
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.answers.push(Answer { number, since: Instant::now(), is_stream: false });
        RequestGuard { activity: self.clone(), number }
    }

    /// Start of the wait for a request; none while one is answered, or while an answer has not left.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.answers.is_empty() && !state.is_write_blocked).then_some(state.since)
    }

    /// Returns true if a request has been answered for longer than `limit`. Event streams last as long as they like.
    pub(super) fn is_overdue(&self, now: Instant, limit: Duration) -> bool {
        let state = self.lock();
        let is_over = |since| now.saturating_duration_since(since) > limit;
        let is_slow = |answer: &Answer| !answer.is_stream && is_over(answer.since);
        // An answer may leave after its handler has ended.
        let is_leaving = state.answers.is_empty() && state.is_write_blocked;
        state.answers.iter().any(is_slow) || (is_leaving && is_over(state.since))
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

    fn set_stream(&self, number: u64) {
        let mut state = self.lock();
        if let Some(answer) = state.answers.iter_mut().find(|answer| answer.number == number) {
            answer.is_stream = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct RequestGuard {
    activity: Activity,
    number: u64,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.activity.lock();
        state.answers.retain(|answer| answer.number != self.number);
        state.since = Instant::now();
        state.has_received = false;
    }
}

/// The client of a request; an extension of every request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Remote address of the connection.
    pub address: SocketAddr,
    /// True if the connection is encrypted.
    pub is_encrypted: bool,
    activity: Activity,
    request: u64,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, is_encrypted: bool, guard: &RequestGuard) -> Self {
        Self { address, is_encrypted, activity: guard.activity.clone(), request: guard.number }
    }

    /// Declares that the answer is an event stream: it has no end, so no time by which it has to have left.
    pub fn open_stream(&self) {
        self.activity.set_stream(self.request);
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
    fn a_stream_on_a_connection_excuses_no_other_request_on_it() {
        let activity = Activity::default();
        let stream = activity.begin_request();
        Peer::new(([127, 0, 0, 1], 1).into(), true, &stream).open_stream();
        let later = Instant::now() + Duration::from_secs(2);
        assert!(!activity.is_overdue(later, Duration::from_secs(1)));
        let request = activity.begin_request();
        assert!(activity.is_overdue(later, Duration::from_secs(1)));
        drop(request);
        assert!(!activity.is_overdue(later, Duration::from_secs(1)) && activity.idle_since().is_none());
        drop(stream);
        assert!(activity.idle_since().is_some());
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
