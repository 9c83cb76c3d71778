//! Tables `alerts`, `unreadable`, `gaps`, `runs`, `totals` and `minutes`.

mod column;
pub(super) mod insert;
pub(super) mod query;
#[cfg(test)]
mod testing;
pub(super) mod totals;
