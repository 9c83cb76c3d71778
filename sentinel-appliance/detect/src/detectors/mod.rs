//! The detectors, one folder for each family.

pub(crate) mod access;
pub(crate) mod dns;
pub(crate) mod flood;
pub(crate) mod lists;
pub(crate) mod scan;
pub(crate) mod source_table;
pub(crate) mod spoof;
pub(crate) mod transfer;
