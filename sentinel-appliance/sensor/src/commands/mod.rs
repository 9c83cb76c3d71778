//! One file for each subcommand.

pub(crate) mod capture;
pub(crate) mod classify;
pub(crate) mod ctl;
pub(crate) mod enroll;
pub(crate) mod filter;
mod interface_choice;
pub(crate) mod interfaces;
mod link_types;
pub(crate) mod log;
pub(crate) mod read;
pub(crate) mod replay;
pub(crate) mod rpcd;
pub(crate) mod run;
pub(crate) mod selftest;
mod start;
pub(crate) mod status;
pub(crate) mod tune;
