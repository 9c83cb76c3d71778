//! Open files: how many the kernel allows, and who gets them.
//!
//! Every connection takes a descriptor. Sensors come first: HTTP clients get a share that is fixed at start, so that they
//! can never take a descriptor that a sensor, the store or the log needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::{self, HttpLimits};
use crate::log::Log;

/// Open files that are no connection: database, its log and index for each reader and the writer, log, listeners, and
/// what the libraries open for a moment.
const OTHER_FILES: u64 = 128;
/// Connections for which the sockets of HTTP are counted, in the smallest share.
const MIN_HTTP_FILES: u64 = 48;

/// Shares of the open files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileShares {
    /// Connections of sensors.
    pub sensors: usize,
    /// Connections beside them whose peer has not proved a key: half as many, so that sensors that come back at once find
    /// a place.
    pub handshakes: usize,
    /// Connections of HTTP clients, without [`http::MARGIN`].
    pub http: usize,
}

/// Shares of `limit` open files if `sensors` connections are wanted; no limit is none.
///
/// A limit too low for all of them leaves an eighth to HTTP.
#[must_use]
pub fn shares(limit: Option<u64>, sensors: usize) -> FileShares {
    let margin = u64::try_from(http::MARGIN).unwrap_or(u64::MAX);
    let max_http = u64::try_from(http::MAX_CONNECTIONS).unwrap_or(u64::MAX).saturating_add(margin);
    let wanted = ingest_files(u64::try_from(sensors).unwrap_or(u64::MAX));
    let free = limit.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES);
    let http = free.saturating_sub(wanted).max(free / 8).clamp(MIN_HTTP_FILES, max_http);
    let connections = |files: u64| usize::try_from(files).unwrap_or(usize::MAX);
    let possible = connections(sensors_of(free.saturating_sub(http)));
    let sensors = sensors.min(possible).max(1);
    FileShares { sensors, handshakes: handshakes(sensors), http: connections(http.saturating_sub(margin)) }
}

/// Least number of connections without a proved key.
const MIN_HANDSHAKES: u64 = 16;

fn handshakes(sensors: usize) -> usize {
    sensors.div_ceil(2).max(usize::try_from(MIN_HANDSHAKES).unwrap_or(usize::MAX))
}

/// Files of `sensors` connections and of the handshakes beside them.
fn ingest_files(sensors: u64) -> u64 {
    sensors.saturating_add(sensors.div_ceil(2).max(MIN_HANDSHAKES))
}

/// The most connections of sensors that fit into `files` with the handshakes beside them.
fn sensors_of(files: u64) -> u64 {
    let few = files.saturating_sub(MIN_HANDSHAKES).min(MIN_HANDSHAKES * 2);
    (files / 3 * 2).max(few)
}

/// Raises the limit of open files to its maximum, and says in the log who gets them.
///
/// The usual soft limit of 1024 is only a default for programs that use `select`.
#[must_use]
pub fn divide(log: &Log, sensors: usize) -> (FileShares, HttpLimits) {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        log.warn(format_args!("the limit of open files cannot be raised to its maximum: {error}"));
    }
    let limit = getrlimit(Resource::Nofile).current;
    let shares = shares(limit, sensors);
    let limit = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    log.info(format_args!(
        "open files: {limit}; for {} connections of sensors and {} without a proved key, {} of HTTP clients, {OTHER_FILES} \
         for the store and the rest",
        shares.sensors, shares.handshakes, shares.http
    ));
    if shares.sensors < sensors {
        log.warn(format_args!(
            "the limit of open files allows {} of {sensors} connections of sensors; raise it (ulimit -n, LimitNOFILE=)",
            shares.sensors
        ));
    }
    (shares, HttpLimits::new(shares.http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fit_into_the_limit_and_http_takes_none_of_a_sensor() {
        for (limit, sensors, expected) in [
            (None, 10_000, (10_000, 256)),
            (Some(1_048_576), 10_000, (10_000, 256)),
            (Some(20_000), 10_000, (10_000, 256)),
            (Some(15_300), 10_000, (9_922, 256)), // a little too low: HTTP keeps its 288
            (Some(1_024), 10_000, (522, 80)),
            (Some(256), 10, (10, 70)),
            (Some(256), 40, (40, 36)),
        ] {
            let shares = shares(limit, sensors);
            assert_eq!((shares.sensors, shares.http), expected, "{limit:?}");
            let ingest = shares.sensors + shares.handshakes;
            let taken = u64::try_from(ingest + shares.http + http::MARGIN).unwrap() + OTHER_FILES;
            assert!(limit.is_none_or(|limit| taken <= limit), "{limit:?}: {taken}");
        }
    }
}
