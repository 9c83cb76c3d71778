//! Packet time in 32 bits for structures that store many times, and the tolerance for a clock set back.

use core::time::Duration;

use sentinel_units::Timestamp;

/// Backward step between two packets above which the capture clock was set back; a smaller one is packets out of order.
///
/// The rings of two interfaces are read block by block and a block is held for a second at most, so reordering stays far
/// below this.
pub const CLOCK_SET_BACK: Duration = Duration::from_secs(5);

/// `at` in ticks of 2^20 ns (1.05 ms), which wrap after 52 days.
///
/// A structure that stores ticks must discard them sooner: a table lifetime of at most a month is enough.
// The functions below are a shift or a subtraction each, used for every packet that counts: inline.
#[inline]
#[expect(clippy::as_conversions, reason = "the cut to 32 bits is the wrap that is documented")]
pub(crate) const fn ticks(at: Timestamp) -> u32 {
    (at.as_nanos() >> 20) as u32
}

/// `span` in ticks, rounded down.
#[inline]
pub(crate) const fn span(span: Duration) -> u32 {
    ticks(Timestamp::ZERO.after(span))
}

/// Ticks from `then` to `now`; zero if `then` is the later of the two, as for packets slightly out of order.
#[inline]
pub(crate) const fn age(now: u32, then: u32) -> u32 {
    // The upper half of the range is a negative difference: no stored time is 26 days old.
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}

/// Duration of `ticks` ticks.
#[inline]
pub(crate) const fn duration(ticks: u32) -> Duration {
    #[expect(clippy::as_conversions, reason = "u32 to u64 is lossless; From is not const")]
    Duration::from_nanos((ticks as u64) << 20)
}
