//! Misuse of DNS.

mod answers;
pub(crate) mod dga;
mod digest;
mod ends;
pub(crate) mod fast_flux;
mod information;
pub(crate) mod leaks;
mod load;
pub(crate) mod lookalike;
mod lookup;
pub(crate) mod names;
pub(crate) mod nxdomain_burst;
mod punycode;
mod question;
pub(crate) mod rebinding;
pub mod score;
mod suffix;
pub(crate) mod tunnel;

pub(crate) use digest::{name_tail, queried_name};
pub(crate) use ends::push_labels;
pub(crate) use question::read_question;
pub(crate) use suffix::Labels;
