//! Volume and direction of transfers.

mod baseline;
mod destinations;
pub(crate) mod exfiltration;
pub(crate) mod large;
