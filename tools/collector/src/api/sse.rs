//! `GET /api/v1/events`: server-sent events (HTML standard, section 9.2), live and resumable.
//!
//! Each subscriber renders its events itself: 1.6 us per alert (release build, one core of a busy machine), which does not
//! pay for a shared cache, and takes the work off the writer thread.
//!
//! `event: alert` carries the row number as its id. A client that comes back sends it as `Last-Event-ID` and
//! gets the alerts it missed from the store, without holes and without repeats. `event: sensor` reports changes of
//! sensors and has no id: after a break, `/api/v1/sensors` has the present state.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::IntoResponse as _;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::stream::unfold;

use super::call::{Answered, Call};
use super::parameters::Parameters;
use super::{Problem, render, rest};
use crate::http::{AddressPermit, HttpLimit, HttpMetrics};
use crate::model::Event;
use crate::service::{EventRequest, Next, StreamStart, subscribe};

/// A comment line is sent after this long without an event, so that clients notice a dead connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) async fn stream(call: Call) -> Answered {
    let Call { state, caller, peer, mut given, .. } = call;
    let start = start(&mut given);
    let (sensor, selection) = (given.text("sensor"), rest::incidents::filters(&mut given)?);
    let request = EventRequest { start, sensor, selection };
    let service = &state.service;
    let permit = state.streams.acquire(peer.address.ip()).map_err(too_many)?;
    let open = OpenStream::new(permit, Arc::clone(&service.metrics.http));
    let subscription = subscribe(service, caller, request).await?;
    peer.open_stream();
    let events = unfold((subscription, open), |(mut subscription, open)| async move {
        // An unreadable store ends the stream: the client reconnects, and the new request gets the error as its
        // answer.
        let sent = match subscription.next().await.ok().flatten()? {
            Next::Event(event) => serialise(&event),
            // Without data it is no event (HTML standard, section 9.2.6): the client only takes the id.
            Next::Position(id) => sse::Event::default().id(id.to_string()),
        };
        Some((Ok::<_, Infallible>(sent), (subscription, open)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL).text("")).into_response())
}

/// A client that gets this has `GET /api/v1/alerts?after=` to follow the alerts without a stream.
fn too_many((limit, number): (HttpLimit, usize)) -> Problem {
    let allowed = match limit {
        HttpLimit::StreamsPerAddress => format!("{number} event streams of one address"),
        _ => format!("{number} event streams"),
    };
    Problem::limit(limit, limit.to_string()).allowed([allowed, "GET /api/v1/alerts?after=ID".to_owned()])
}

/// An open event stream: its permit, and its place in the gauge.
struct OpenStream {
    metrics: Arc<HttpMetrics>,
    _permit: AddressPermit,
}

impl OpenStream {
    fn new(permit: AddressPermit, metrics: Arc<HttpMetrics>) -> Self {
        metrics.streams.inc();
        Self { metrics, _permit: permit }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}

fn start(given: &mut Parameters) -> StreamStart {
    // The header wins: browsers send it when they reconnect to the same address.
    let last = given.number("Last-Event-ID").or_else(|| given.number("last_event_id"));
    last.map_or_else(|| StreamStart::Recent(given.number("recent").unwrap_or_default()), StreamStart::After)
}

fn serialise(event: &Event) -> sse::Event {
    match event {
        Event::Alert(alert) => {
            sse::Event::default().event("alert").id(alert.id.to_string()).data(render::alert(alert))
        }
        Event::Undecodable(alert) => {
            let data = render::undecodable(alert);
            sse::Event::default().event("alert").id(alert.id.to_string()).data(data)
        }
        Event::Sensor(event) => sse::Event::default().event("sensor").data(render::sensor_event(event)),
    }
}
