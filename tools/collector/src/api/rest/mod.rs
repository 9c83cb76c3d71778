//! Handlers of the REST interface, one file for each path, or for those that belong together.

pub(super) mod accounts;
pub(super) mod alerts;
pub(super) mod description;
pub(super) mod enrollment;
pub(super) mod health;
pub(super) mod incidents;
pub(super) mod log_in;
pub(super) mod metrics;
pub(super) mod sensors;
pub(super) mod stats;

use super::Problem;
use crate::http::HttpLimit;
use crate::service::ChangeError;

/// Runs a change on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, Problem> {
    let work = tokio::task::spawn_blocking(work).await;
    Ok(work.map_err(|_| Problem::internal("the change panicked"))??)
}

/// Makes an answer on a thread that may block.
async fn blocking_read<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal("the answer cannot be made"))
}

fn too_many_searches((limit, number): (HttpLimit, usize)) -> Problem {
    Problem::limit(limit, limit.to_string()).allowed([format!("{number} searches of one address")])
}
