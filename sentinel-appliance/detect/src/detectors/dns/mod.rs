//! What DNS is misused for.

pub(crate) mod tunnel;
