//! Functional tests of the whole system: attacks on a bridge become alerts at a collector, each exactly once, also when
//! programs are killed, links cut, settings reloaded or interfaces removed.
//!
//! Needs root; otherwise each test prints `skipped:`. `LAB_FULL=1` makes outages as long as those that are guaranteed to
//! lose nothing.

#![cfg(test)]

mod canary;
mod capture;
mod cleanup;
mod console;
mod control;
mod exactly_once;
mod interfaces;
mod live;
mod page;
mod reload;
mod replay;
mod rpcd;
mod settings;
mod status;
mod stop;
mod two_sensors;
mod visibility;
mod watchdog;
mod workers;
