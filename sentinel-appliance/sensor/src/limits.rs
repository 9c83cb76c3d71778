//! Limits that several modules share: array sizes and the ranges of settings derive from them.

/// Interfaces captured at a time, and therefore rings of one worker.
pub(crate) const MAX_INTERFACES: usize = 8;
/// Worker threads. Each pair of them shares two queues, so memory grows with the square.
pub(crate) const MAX_WORKERS: u32 = 8;
