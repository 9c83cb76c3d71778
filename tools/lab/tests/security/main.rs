//! Security tests: unauthorised peers are rejected and counted without an effect on others; a full disk loses only what it
//! cannot hold, and the loss is counted; keys are readable by their owner only; the sensor keeps no privilege that it does not need.
//!
//! Needs root; otherwise each test prints `skipped:`.

#![cfg(test)]

mod attacks;
mod full_disk;
mod keys;
mod privileges;
mod rejections;
mod sandbox;
