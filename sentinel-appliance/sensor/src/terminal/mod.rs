//! Text that people read: messages, tables, errors.

pub(crate) mod calendar;
pub(crate) mod count;
pub(crate) mod failure;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod zone;
