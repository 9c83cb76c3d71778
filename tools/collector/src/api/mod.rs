//! The HTTP interface: REST, server-sent events and metrics, as adapters of [`crate::service`].
//!
//! A handler parses parameters into the input of a use case, calls it, and renders the result; [`render`] is the
//! only place where the domain becomes JSON. Each request passes `authenticate`, which finds out who sends it.

mod authenticate;
mod body;
mod body_cache;
mod guard;
mod openmetrics;
mod parameters;
mod problem;
pub mod render;
mod rest;
mod router;
mod sse;
mod state;

pub use guard::HostPolicy;
pub use problem::Problem;
pub use router::{rejection, router};
pub use state::ApiState;
