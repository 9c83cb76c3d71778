//! The whole system does what it is for: attacks on a bridge become alerts at a collector, each exactly once, whatever
//! is killed, cut, reloaded or taken away meanwhile.
//!
//! Root only; elsewhere each test says `skipped:`. `LAB_FULL=1` makes outages as long as the promise speaks of.

#![cfg(test)]

mod capture;
mod cleanup;
mod control;
mod exactly_once;
mod interfaces;
mod live;
mod page;
mod reload;
mod replay;
mod status;
mod stop;
mod two_sensors;
mod visibility;
mod workers;
