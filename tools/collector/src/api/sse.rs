//! `GET /api/v1/events`: server-sent events (HTML standard, section 9.2), live and resumable.
//!
//! `event: alert` carries the row number as its id. A client that comes back sends it as
//! `Last-Event-ID` and gets what it missed from the store, without holes and without repeats; the same
//! happens within one connection if the client is slower than the alerts come. `event: sensor` tells
//! of sensors that come and go and has no id: after a break, `/api/v1/sensors` has the truth.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::parameters::Parameters;
use super::{App, Problem};
use crate::store::{AlertQuery, Event, alerts};

const RECENT_MAX: u32 = 1_000;
/// Rows read from the store at once when catching up.
const PAGE: u32 = 500;
/// A comment line is sent when there was nothing else for this long.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

pub(super) async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
    Query(given): Query<Vec<(String, String)>>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let mut given = Parameters::new(given, &["last_event_id", "recent"])?;
    let asked: Option<i64> = given.number("last_event_id", 0..=i64::MAX)?;
    let recent = given.number("recent", 0..=RECENT_MAX)?.unwrap_or_default();
    // The header wins: browsers send it when they reconnect to the same address.
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let resume = match header {
        None | Some("") => asked,
        Some(text) => Some(text.parse().map_err(|_| {
            Problem::parameter("Last-Event-ID", format!("not an event id of this stream: {text:?}"))
                .allowed(["the id of an alert event"])
        })?),
    };
    // Listen first and read afterwards: what is stored in between comes twice here and is sent once.
    let live = app.events.listen();
    let newest = app.readers.read(alerts::newest).await?;
    let last = match resume {
        // Of a store that was set back to an older copy: start over from what there is.
        Some(id) => id.min(newest),
        None => before_the_last(&app, recent, newest).await?,
    };
    let feed = Feed { app, live, last, waiting: VecDeque::new(), behind: true };
    let events = unfold(feed, |mut feed| async move { Some((Ok(feed.next().await?), feed)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).text("")))
}

/// The id after which the `recent` newest alerts stand.
async fn before_the_last(app: &App, recent: u32, newest: i64) -> Result<i64, Problem> {
    if recent == 0 {
        return Ok(newest);
    }
    let query = AlertQuery { limit: recent, ..AlertQuery::default() };
    let rows = app.readers.read(move |connection| alerts::query(connection, &query)).await?;
    Ok(rows.last().map_or(newest, |oldest| oldest.id - 1))
}

struct Feed {
    app: App,
    live: broadcast::Receiver<Event>,
    /// Id of the last alert sent.
    last: i64,
    waiting: VecDeque<sse::Event>,
    /// Whether the store may hold alerts after `last` that `live` will not bring.
    behind: bool,
}

impl Feed {
    /// The next event; none when the collector stops, or when the store cannot be read: the client
    /// comes back and resumes.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if *self.app.stopping.borrow() {
                return None;
            }
            if self.behind {
                self.catch_up().await?;
                continue;
            }
            let received = tokio::select! {
                received = self.live.recv() => received,
                _ = self.app.stopping.changed() => return None,
            };
            match received {
                Ok(Event::Alert { id, json }) if id > self.last => {
                    self.last = id;
                    return Some(alert_event(id, &json));
                }
                Ok(Event::Alert { .. }) => {} // sent from the store already
                Ok(Event::Sensor(json)) => return Some(sse::Event::default().event("sensor").data(&*json)),
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn catch_up(&mut self) -> Option<()> {
        let query = AlertQuery { after: Some(self.last), limit: PAGE, ..AlertQuery::default() };
        let rows = self.app.readers.read(move |connection| alerts::query(connection, &query)).await.ok()?;
        self.behind = u32::try_from(rows.len()).is_ok_and(|len| len >= PAGE);
        for row in rows {
            self.last = row.id;
            self.waiting.push_back(alert_event(row.id, &row.json()));
        }
        Some(())
    }
}

fn alert_event(id: i64, json: &str) -> sse::Event {
    sse::Event::default().event("alert").id(id.to_string()).data(json)
}
