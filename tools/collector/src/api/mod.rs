//! The HTTP interface: REST, server-sent events and metrics, as adapters of [`crate::service`].
//!
//! A handler parses parameters into the input of a use case, calls it, and renders the result; [`render`] is the
//! only place where the domain becomes JSON, with `render_incidents` for incidents. Each request passes `authenticate`, which finds out
//! who sends it, and `dispatch`, which checks it against the declaration of its operation and calls the handler.

mod authenticate;
mod body_cache;
mod call;
mod cursor;
mod dispatch;
mod guard;
mod idempotency;
mod openapi;
mod openmetrics;
mod parameters;
mod problem;
pub mod render;
mod render_incidents;
mod rest;
mod router;
mod schema;
mod sse;
mod state;

pub use guard::HostPolicy;
pub use openapi::description;
pub use problem::Problem;
pub use router::{rejection, router};
pub use state::ApiState;
