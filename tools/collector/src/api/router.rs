//! Routes of the HTTP interface: those of the table of operations, and the pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::Uri;
use axum::middleware;
use axum::routing::{MethodFilter, on};

use super::call::MAX_BODY_LEN;
use super::guard::{self, Guard, HostPolicy};
use super::problem::nearest;
use super::{ApiState, Problem, authenticate, dispatch};
use crate::http::{HttpLimit, HttpLimits};
use crate::service::{Method, OPERATIONS, Service};

/// All routes: the interface, and `pages`, behind the same checks.
pub fn router(service: Service, hosts: HostPolicy, limits: &HttpLimits, pages: Router<ApiState>) -> Router {
    let guard = Guard { hosts, metrics: Arc::clone(&service.metrics.http), access: service.access.clone() };
    let access = service.access.clone();
    operations()
        .merge(pages)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(access, authenticate::check))
        .layer(middleware::from_fn_with_state(guard, guard::check))
        .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
        .with_state(ApiState::new(service, limits))
}

fn operations() -> Router<ApiState> {
    let mut routes = Router::new();
    for declared in OPERATIONS {
        let operation = declared.operation;
        let serve =
            move |State(state): State<ApiState>, request: Request| dispatch::serve(operation, state, request);
        routes = routes.route(declared.path, on(filter(declared.method), serve));
    }
    routes
}

const fn filter(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    }
}

/// Body of the answer to a connection for which there is no place.
#[must_use]
pub fn rejection(limit: HttpLimit) -> String {
    format!("{}\n", Problem::limit(limit, limit.to_string()).body())
}

async fn unknown_path(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(80).collect();
    Problem::not_found(format!("there is no {path}")).code("path").allowed(nearest(&path, paths()))
}

/// Paths of the operations, each once.
fn paths() -> impl Iterator<Item = &'static str> {
    let earlier = |index: usize| OPERATIONS.iter().take(index).map(|declared| declared.path);
    let all = OPERATIONS.iter().map(|declared| declared.path).enumerate();
    let unique = all.filter(move |(index, path)| !earlier(*index).any(|before| before == *path));
    std::iter::once("/").chain(unique.map(|(_, path)| path))
}

async fn wrong_method(path: Option<MatchedPath>) -> Problem {
    authenticate::wrong_method(path.as_ref().map_or("/", MatchedPath::as_str))
}
