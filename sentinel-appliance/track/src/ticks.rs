//! Packet time in 32 bits, for structures that hold many times.

use core::time::Duration;

use sentinel_units::Timestamp;

/// Steps of 2^20 ns (1.05 ms), wrapping after 52 days.
///
/// What holds such times must be dropped sooner: a table lifetime of at most a month does it.
#[inline]
#[expect(clippy::as_conversions, reason = "the cut to 32 bits is the wrap that is documented")]
pub(crate) const fn ticks(at: Timestamp) -> u32 {
    (at.as_nanos() >> 20) as u32
}

/// A span in the same steps, rounded down.
#[inline]
pub(crate) const fn span(span: Duration) -> u32 {
    ticks(Timestamp::ZERO.after(span))
}

/// Steps from `then` to `now`; packets a little out of order are zero apart.
#[inline]
pub(crate) const fn age(now: u32, then: u32) -> u32 {
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}

/// The span that many steps take.
#[inline]
pub(crate) const fn duration(steps: u32) -> Duration {
    #[expect(clippy::as_conversions, reason = "u32 to u64 is lossless; From is not const")]
    Duration::from_nanos((steps as u64) << 20)
}
