//! `GET /api/v1/alerts`: stored alerts, filtered, page by page.

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use sentinel_alert::{Kind, Severity};

use crate::api::parameters::Parameters;
use crate::api::{ApiState, Problem, render};
use crate::clock;
use crate::http::{HttpLimit, Peer};
use crate::model::{AlertPosition, AlertSelection};
use crate::service::{AlertRequest, Caller, MAX_PAGE_LEN, list_alerts};

const PARAMETERS: [&str; 8] = ["sensor", "kind", "severity", "since", "until", "limit", "cursor", "after"];
const DEFAULT_LIMIT: u32 = 100;

/// `{"alerts": [...], "next": "cursor of the next page" or null}`.
pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<impl IntoResponse, Problem> {
    let request = request(given)?;
    let _permit = state.searches.acquire(peer.address.ip()).map_err(too_many)?;
    let page = list_alerts(&state.service, caller, request).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], render::alert_page(&page)))
}

fn too_many((limit, number): (HttpLimit, usize)) -> Problem {
    Problem::limit(limit, limit.to_string()).allowed([format!("{number} searches of one address")])
}

fn request(given: Vec<(String, String)>) -> Result<AlertRequest, Problem> {
    let mut given = Parameters::new(given, &PARAMETERS)?;
    let now = clock::now();
    let limit = given.number("limit", 1..=MAX_PAGE_LEN)?.unwrap_or(DEFAULT_LIMIT);
    let kinds = given.choices("kind", &Kind::ALL, Kind::name)?;
    let severities = given.choices("severity", &Severity::ALL, Severity::name)?;
    let (since, until) = (given.time("since", now)?, given.time("until", now)?);
    let before = given.number("cursor", 1..=i64::MAX)?;
    let after = given.number("after", 0..=i64::MAX)?;
    let position = match (before, after) {
        (None, None) => AlertPosition::Newest,
        (Some(id), None) => AlertPosition::Before(id),
        (None, Some(id)) => AlertPosition::After(id),
        (Some(_), Some(_)) => {
            return Err(Problem::parameter("after", "cursor and after exclude each other")
                .allowed(["one of cursor and after"]));
        }
    };
    let selection = AlertSelection { kinds, severities, since, until, position, limit };
    Ok(AlertRequest { sensor: given.text("sensor"), selection })
}
