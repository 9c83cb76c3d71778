//! Tables `alerts`, `unreadable`, `gaps`, `runs`, `totals` and `minutes`.

pub(super) mod account;
pub(super) mod column;
mod conflict;
pub(super) mod insert;
pub(super) mod query;
pub(super) mod scoped;
pub(super) mod totals;

pub(super) use account::ALERT_ROW_BYTES;
