//! `GET /api/v1/alerts`: stored alerts, filtered, page by page.

use axum::http::header;
use axum::response::IntoResponse as _;
use sentinel_alert::{Kind, Severity};

use super::too_many_searches;
use crate::api::call::{Answered, Call};
use crate::api::parameters::Parameters;
use crate::api::{Problem, cursor, render};
use crate::model::{AlertPosition, AlertSelection};
use crate::service::{AlertRequest, list_alerts};

/// First letter of a cursor of a page with the oldest first; no hexadecimal digit.
const ASCENDING: &str = "u";

/// `{"alerts": [...], "next": "cursor of the next page" or null, "partial", "reached"}`.
pub(in crate::api) async fn list(call: Call) -> Answered {
    let Call { state, caller, peer, given, .. } = call;
    let filter = given.filter().to_owned();
    let request = request(given, &filter)?;
    let is_ascending = matches!(request.selection.position, AlertPosition::After(_));
    let direction = if is_ascending { ASCENDING } else { "" };
    let _permit = state.searches.acquire(peer.address.ip()).map_err(too_many_searches)?;
    let page = list_alerts(&state.service, caller, request).await?;
    let next = page.next.map(|next| format!("{direction}{}", cursor::encode(next, &filter)));
    Ok(([(header::CONTENT_TYPE, "application/json")], render::alert_page(&page, next.as_deref()))
        .into_response())
}

fn request(mut given: Parameters, filter: &str) -> Result<AlertRequest, Problem> {
    let kinds = given.choices("kind", &Kind::ALL, Kind::name);
    let severities = given.choices("severity", &Severity::ALL, Severity::name);
    let (since, until) = (given.time("since"), given.time("until"));
    let position = match (given.text("cursor"), given.number("after")) {
        (None, None) => AlertPosition::Newest,
        (Some(text), None) => match text.strip_prefix(ASCENDING) {
            Some(text) => AlertPosition::After(cursor::decode(text, filter)?),
            None => AlertPosition::Before(cursor::decode(&text, filter)?),
        },
        (None, Some(id)) => AlertPosition::After(id),
        (Some(_), Some(_)) => {
            return Err(Problem::parameter("after", "cursor and after exclude each other")
                .allowed(["one of cursor and after"]));
        }
    };
    let limit = given.number("limit").unwrap_or_default();
    let selection = AlertSelection { kinds, severities, since, until, position, limit };
    Ok(AlertRequest { sensor: given.text("sensor"), selection })
}
