//! Packet tool behind `read`, `capture` and `replay`: frames in, views of them out.

mod bulk;
pub(crate) mod decapsulate;
pub(crate) mod fields;
pub(crate) mod filter;
pub(crate) mod flows;
pub(crate) mod input;
pub(crate) mod options;
pub(crate) mod pipeline;
pub(crate) mod record;
pub(crate) mod reorder;
pub(crate) mod results;
pub(crate) mod save;
pub(crate) mod show;
pub(crate) mod totals;
