//! Volume and direction of transfers.

pub(crate) mod exfiltration;
