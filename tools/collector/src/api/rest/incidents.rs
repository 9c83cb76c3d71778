//! `/api/v1/incidents`: search, one incident with its messages, and changes of state.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use sentinel_alert::{Kind, Severity};
use sentinel_units::Prefix;
use serde::Deserialize;
use serde_json::json;

use crate::api::parameters::{Parameters, shortened};
use crate::api::{ApiState, Problem, body, cursor, render_incidents};
use crate::clock;
use crate::http::{HttpLimit, Peer};
use crate::model::{IncidentPhase, IncidentSelection, IncidentState, IncidentWord};
use crate::service::{
    Caller, IncidentAction, IncidentRequest, MAX_CHANGED, MAX_NOTE_LEN, MAX_PAGE_LEN, change_incidents,
    list_incidents, list_messages, show_incident,
};

const PARAMETERS: [&str; 12] =
    ["q", "state", "phase", "kind", "severity", "sensor", "src", "dst", "since", "until", "limit", "cursor"];
const DEFAULT_LIMIT: u32 = 100;
/// Words and characters of a free search.
const MAX_WORDS: usize = 8;
const MAX_QUERY_LEN: usize = 200;
/// Characters of an `Idempotency-Key`.
const MAX_KEY_LEN: usize = 100;

pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    Extension(peer): Extension<Peer>,
    Extension(caller): Extension<Caller>,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<impl IntoResponse, Problem> {
    let filter = filter_of(&given);
    let request = request(given, &filter)?;
    let _permit = state.searches.acquire(peer.address.ip()).map_err(too_many)?;
    let page = list_incidents(&state.service, caller, request).await?;
    let next = page.next.map(|next| cursor::encode(next, &filter));
    Ok(Json(render_incidents::page(&page, next.as_deref())))
}

pub(in crate::api) async fn show(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    id: IdPath,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    Parameters::new(given, &[])?;
    one(&state, caller, id_of(id)?).await
}

pub(in crate::api) async fn messages(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    id: IdPath,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<impl IntoResponse, Problem> {
    let mut given = Parameters::new(given, &["limit", "cursor"])?;
    let limit = given.number("limit", 1..=MAX_PAGE_LEN)?.unwrap_or(DEFAULT_LIMIT);
    let id = id_of(id)?;
    let filter = format!("incident={id}");
    let before = given.text("cursor").map(|text| cursor::decode(&text, &filter)).transpose()?;
    let (rows, next) = list_messages(&state.service, caller, id, (before, limit)).await?;
    let next = next.map(|next| cursor::encode(next, &filter));
    Ok(([(header::CONTENT_TYPE, "application/json")], render_incidents::messages(&rows, next)))
}

/// Body of `PATCH /api/v1/incidents/ID`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    state: Option<String>,
    note: Option<String>,
}

/// Body of `POST /api/v1/incidents/actions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Action {
    ids: Vec<i64>,
    state: Option<String>,
    note: Option<String>,
}

pub(in crate::api) async fn change(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    id: IdPath,
    request: Request,
) -> Result<Response, Problem> {
    let id = id_of(id)?;
    let revision = expected_revision(request.headers())?;
    let Change { state: to, note } = body::read(request, &["state", "note"]).await?;
    let action = IncidentAction { incidents: vec![id], revision, ..change_of(to.as_deref(), note)? };
    // None was changed: `one` says that there is none.
    change_incidents(&state.service, caller.clone(), action).await?;
    one(&state, caller, id).await
}

pub(in crate::api) async fn act(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let key = idempotency_key(request.headers())?;
    let Action { ids, state: to, note } = body::read(request, &["ids", "state", "note"]).await?;
    if ids.is_empty() || ids.len() > MAX_CHANGED {
        return Err(Problem::parameter("ids", "this is no list of incidents")
            .allowed([format!("1 to {MAX_CHANGED} ids of incidents")]));
    }
    let action = IncidentAction { incidents: ids.clone(), key, ..change_of(to.as_deref(), note)? };
    let changed = change_incidents(&state.service, caller.clone(), action).await?;
    let missing: Vec<i64> = ids.into_iter().filter(|id| !changed.contains(id)).collect();
    Ok(Json(json!({ "changed": changed, "missing": missing })))
}

/// The incident, with its revision as `ETag`.
async fn one(state: &ApiState, caller: Caller, id: i64) -> Result<Response, Problem> {
    let detail = show_incident(&state.service, caller, id).await?;
    let mut response = Json(render_incidents::detail(&detail)).into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", detail.incident.revision)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// The part of the path; an error if it is not UTF-8.
type IdPath = Result<Path<String>, PathRejection>;

fn id_of(path: IdPath) -> Result<i64, Problem> {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    let id = text.parse().ok().filter(|id: &i64| *id > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
    id.ok_or_else(|| {
        Problem::not_found(format!("there is no incident {:?}", shortened(&text)))
            .allowed(["the id of an incident of GET /api/v1/incidents"])
    })
}

fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(None);
    }
    let number =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::parameter("If-Match", "If-Match is no revision of an incident")
            .allowed(["the ETag of GET /api/v1/incidents/ID", "*"])
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > MAX_KEY_LEN {
        return Err(Problem::parameter("Idempotency-Key", "this is no key")
            .allowed([format!("1 to {MAX_KEY_LEN} visible ASCII characters")]));
    }
    Ok(Some(text.to_owned()))
}

fn change_of(state: Option<&str>, note: Option<String>) -> Result<IncidentAction, Problem> {
    let names = || IncidentState::ALL.map(IncidentState::name);
    let state = match state {
        None => None,
        Some(name) => {
            Some(IncidentState::ALL.into_iter().find(|state| state.name() == name).ok_or_else(|| {
                Problem::parameter("state", format!("there is no state {:?}", shortened(name)))
                    .allowed(names())
            })?)
        }
    };
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
    !note.trim().is_empty() && note.chars().count() <= MAX_NOTE_LEN && note.chars().all(is_plain)
}

fn too_many((limit, number): (HttpLimit, usize)) -> Problem {
    Problem::limit(limit, limit.to_string()).allowed([format!("{number} searches of one address")])
}

/// Parameters that a cursor has to have in common with the query: all but those of the page.
fn filter_of(given: &[(String, String)]) -> String {
    let mut filters: Vec<String> = given
        .iter()
        .filter(|(name, _)| name != "cursor" && name != "limit")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    filters.sort_unstable();
    filters.join("&")
}

fn request(given: Vec<(String, String)>, filter: &str) -> Result<IncidentRequest, Problem> {
    let mut given = Parameters::new(given, &PARAMETERS)?;
    let now = clock::now();
    let selection = IncidentSelection {
        words: words(given.text("q"))?,
        states: given.choices("state", &IncidentState::ALL, IncidentState::name)?,
        phases: given.choices("phase", &IncidentPhase::ALL, IncidentPhase::name)?,
        kinds: given.choices("kind", &Kind::ALL, Kind::name)?,
        severities: given.choices("severity", &Severity::ALL, Severity::name)?,
        sensor: None,
        among: None,
        source: network(&mut given, "src")?,
        destination: network(&mut given, "dst")?,
        since: given.time("since", now)?,
        until: given.time("until", now)?,
        before: given.text("cursor").map(|text| cursor::decode(&text, filter)).transpose()?,
        limit: given.number("limit", 1..=MAX_PAGE_LEN)?.unwrap_or(DEFAULT_LIMIT),
    };
    Ok(IncidentRequest { sensor: given.text("sensor"), selection })
}

fn network(given: &mut Parameters, name: &str) -> Result<Option<Prefix>, Problem> {
    let Some(text) = given.text(name) else { return Ok(None) };
    match text.parse::<Prefix>() {
        Ok(network) => Ok(Some(network)),
        Err(_) => {
            Err(Problem::parameter(name, format!("{name} is no address or network: {:?}", shortened(&text)))
                .allowed([
                    "an address, such as 192.0.2.7 or 2001:db8::1",
                    "a network, such as 192.0.2.0/24 or 2001:db8::/32",
                ]))
        }
    }
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
    if words.len() > MAX_WORDS || text.chars().count() > MAX_QUERY_LEN {
        return Err(Problem::parameter("q", "the search is too long")
            .allowed([format!("{MAX_WORDS} words, {MAX_QUERY_LEN} characters")]));
    }
    Ok(words)
}
