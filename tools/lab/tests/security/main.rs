//! Those who should not be served are refused and counted, and nobody else notices; a full disk costs what it must and
//! no more; keys are only their owner's.
//!
//! Root only; elsewhere each test says `skipped:`.

#![cfg(test)]

mod full_disk;
mod keys;
mod refusals;
