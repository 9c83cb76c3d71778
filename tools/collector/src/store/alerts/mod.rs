//! Tables `alerts`, `unreadable`, `gaps`, `runs`, `totals` and `minutes`.

mod account;
pub(super) mod column;
pub(super) mod insert;
pub(super) mod query;
pub(super) mod totals;
