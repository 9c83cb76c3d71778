//! `/api/v1/incidents`: search, one incident with its messages, and changes of state.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use sentinel_alert::{Kind, Severity};
use sentinel_units::Prefix;
use serde_json::json;

use super::too_many_searches;
use crate::api::call::{Answered, Call};
use crate::api::parameters::Parameters;
use crate::api::{ApiState, Problem, cursor, render_incidents};
use crate::model::{IncidentPhase, IncidentSelection, IncidentState, IncidentWord};
use crate::service::{
    Caller, IncidentAction, IncidentRequest, MAX_NOTE_LEN, MAX_WORDS, change_incidents, list_incidents,
    list_messages, parameter, show_incident,
};

pub(in crate::api) async fn list(call: Call) -> Answered {
    let Call { state, caller, peer, given, .. } = call;
    let filter = given.filter().to_owned();
    let request = request(given, &filter)?;
    let _permit = state.searches.acquire(peer.address.ip()).map_err(too_many_searches)?;
    let page = list_incidents(&state.service, caller, request).await?;
    let next = page.next.map(|next| cursor::encode(next, &filter));
    Ok(Json(render_incidents::page(&page, next.as_deref())).into_response())
}

pub(in crate::api) async fn show(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    one(&state, caller, given.number("id").unwrap_or_default()).await
}

pub(in crate::api) async fn messages(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (id, limit) = (given.number("id").unwrap_or_default(), given.number("limit").unwrap_or_default());
    let filter = format!("incident={id}");
    let before = given.text("cursor").map(|text| cursor::decode(&text, &filter)).transpose()?;
    let (rows, next) = list_messages(&state.service, caller, id, (before, limit)).await?;
    let next = next.map(|next| cursor::encode(next, &filter));
    let body = render_incidents::messages(&rows, next);
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

pub(in crate::api) async fn change(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let id = given.number("id").unwrap_or_default();
    let revision = expected_revision(&mut given)?;
    let action = IncidentAction { incidents: vec![id], revision, ..change_of(&mut given)? };
    // None was changed: `one` says that there is none.
    change_incidents(&state.service, caller.clone(), action).await?;
    one(&state, caller, id).await
}

pub(in crate::api) async fn act(call: Call) -> Answered {
    let Call { state, caller, mut given, .. } = call;
    let (ids, key) = (given.rows("ids").unwrap_or_default(), given.text(parameter::IDEMPOTENCY_KEY.name));
    let action = IncidentAction { incidents: ids.clone(), key, ..change_of(&mut given)? };
    let changed = change_incidents(&state.service, caller.clone(), action).await?;
    let missing: Vec<i64> = ids.into_iter().filter(|id| !changed.contains(id)).collect();
    Ok(Json(json!({ "changed": changed, "missing": missing })).into_response())
}

/// The incident, with its revision as `ETag`.
async fn one(state: &ApiState, caller: Caller, id: i64) -> Answered {
    let detail = show_incident(&state.service, caller, id).await?;
    let mut response = Json(render_incidents::detail(&detail)).into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", detail.incident.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

fn expected_revision(given: &mut Parameters) -> Result<Option<u64>, Problem> {
    let Some(text) = given.text("If-Match").filter(|text| text != "*") else { return Ok(None) };
    let number =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::parameter("If-Match", "If-Match is no revision of an incident")
            .allowed(["the ETag of GET /api/v1/incidents/ID", "*"])
    })
}

fn change_of(given: &mut Parameters) -> Result<IncidentAction, Problem> {
    let state = given.choices("state", &IncidentState::ALL, IncidentState::name).pop();
    let note = given.text("note");
    if note.as_deref().is_some_and(|note| !is_note(note)) {
        return Err(Problem::parameter("note", "this is no note")
            .allowed([format!("1 to {MAX_NOTE_LEN} characters without control characters but line ends")]));
    }
    if state.is_none() && note.is_none() {
        return Err(Problem::parameter("body", "there is nothing to change").allowed(["state", "note"]));
    }
    Ok(IncidentAction { state, note, ..IncidentAction::default() })
}

fn is_note(note: &str) -> bool {
    let is_plain = |char: char| char == '\n' || !char.is_control();
    !note.trim().is_empty() && note.chars().all(is_plain)
}

fn request(mut given: Parameters, filter: &str) -> Result<IncidentRequest, Problem> {
    let before = given.text("cursor").map(|text| cursor::decode(&text, filter)).transpose()?;
    let limit = given.number("limit").unwrap_or_default();
    let selection = IncidentSelection { before, limit, ..filters(&mut given)? };
    Ok(IncidentRequest { sensor: given.text("sensor"), selection })
}

/// Filters of incidents but the sensor, without a page.
pub(in crate::api) fn filters(given: &mut Parameters) -> Result<IncidentSelection, Problem> {
    Ok(IncidentSelection {
        words: words(given.text("q"))?,
        states: given.choices("state", &IncidentState::ALL, IncidentState::name),
        phases: given.choices("phase", &IncidentPhase::ALL, IncidentPhase::name),
        kinds: given.choices("kind", &Kind::ALL, Kind::name),
        severities: given.choices("severity", &Severity::ALL, Severity::name),
        source: given.network("src"),
        destination: given.network("dst"),
        since: given.time("since"),
        until: given.time("until"),
        ..IncidentSelection::default()
    })
}

fn words(text: Option<String>) -> Result<Vec<IncidentWord>, Problem> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let words: Vec<IncidentWord> = text
        .split_whitespace()
        .map(|word| match word.parse::<Prefix>() {
            Ok(network) => IncidentWord::Network(network),
            Err(_) => IncidentWord::Text(word.to_ascii_lowercase()),
        })
        .collect();
    if words.len() > MAX_WORDS {
        return Err(Problem::parameter("q", "the search is too long").allowed([format!("{MAX_WORDS} words")]));
    }
    Ok(words)
}
