//! `GET /api/v1/events`: server-sent events (HTML standard, section 9.2), live and resumable.
//!
//! Each subscriber renders its events itself: 1.6 us per alert (release build, one core of a busy machine), which does not
//! pay for a shared cache, and takes the work off the writer thread.
//!
//! `event: alert` carries the row number as its id. A client that comes back sends it as `Last-Event-ID` and
//! gets the alerts it missed from the store, without holes and without repeats. `event: sensor` reports changes of
//! sensors and has no id: after a break, `/api/v1/sensors` has the present state.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;

use super::parameters::Parameters;
use super::{Problem, render};
use crate::model::Event;
use crate::service::{Caller, MAX_RECENT, Service, StreamStart, subscribe};

/// A comment line is sent after this long without an event, so that clients notice a dead connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) async fn stream(
    State(service): State<Service>,
    headers: HeaderMap,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let start = start(&headers, given)?;
    let subscription = subscribe(&service, Caller::Anonymous, start).await?;
    let events = unfold(subscription, |mut subscription| async move {
        // An unreadable store ends the stream: the client reconnects, and the new request gets the error as its
        // answer.
        let event = subscription.next().await.ok().flatten()?;
        Some((Ok(serialise(&event)), subscription))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL).text("")))
}

fn start(headers: &HeaderMap, given: Vec<(String, String)>) -> Result<StreamStart, Problem> {
    let mut given = Parameters::new(given, &["last_event_id", "recent"])?;
    let parameter: Option<i64> = given.number("last_event_id", 0..=i64::MAX)?;
    let recent = given.number("recent", 0..=MAX_RECENT)?.unwrap_or_default();
    // The header wins: browsers send it when they reconnect to the same address.
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = match header {
        None | Some("") => parameter,
        Some(text) => Some(text.parse().map_err(|_| {
            Problem::parameter("Last-Event-ID", format!("not an event id of this stream: {text:?}"))
                .allowed(["the id of an alert event"])
        })?),
    };
    Ok(last.map_or(StreamStart::Recent(recent), StreamStart::After))
}

fn serialise(event: &Event) -> sse::Event {
    match event {
        Event::Alert(alert) => {
            sse::Event::default().event("alert").id(alert.id.to_string()).data(render::alert(alert))
        }
        Event::Sensor(event) => sse::Event::default().event("sensor").data(render::sensor_event(event)),
    }
}
