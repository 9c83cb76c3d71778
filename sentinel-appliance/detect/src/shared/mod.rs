//! Types that several detectors and the engine use.

pub(crate) mod event;
pub(crate) mod frequent_sources;
pub(crate) mod home_net;
pub(crate) mod once;
pub(crate) mod port_bloom;
pub(crate) mod rate;
pub(crate) mod table_size;
