//! HTTP client in a namespace.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::namespace::Namespace;
use crate::time;

/// Address of a collector's page and API, on the loopback of its namespace.
pub const HTTP_ADDRESS: &str = "127.0.0.1:8080";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Status and body of the response to `GET path`.
///
/// # Errors
/// If there is no response, or it is not HTTP.
pub fn get(namespace: &Namespace, path: &str) -> Result<(u16, String)> {
    namespace.inside(|| {
        let mut stream = request(path)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        let status = head.split(' ').nth(1).context("an answer without a status")?.parse()?;
        Ok((status, body.to_owned()))
    })?
}

/// JSON body of the response to `GET path`.
///
/// # Errors
/// The errors of [`get`]; and a status other than 200, or a body that is not JSON.
pub fn get_json(namespace: &Namespace, path: &str) -> Result<Value> {
    let (status, body) = get(namespace, path)?;
    if status != 200 {
        bail!("GET {path}: {status}: {}", body.trim());
    }
    serde_json::from_str(&body).with_context(|| format!("GET {path}: {body}"))
}

fn request(path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(HTTP_ADDRESS)?;
    // Version 1.0, so that the body ends with the connection and is not chunked.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {HTTP_ADDRESS}\r\n\r\n").as_bytes())?;
    Ok(stream)
}

/// Alerts received as server-sent events, each with its time of arrival since 1970.
#[derive(Debug)]
pub struct Events {
    alerts: Receiver<(Duration, Value)>,
    stream: TcpStream,
    reader: Option<JoinHandle<()>>,
}

impl Events {
    /// Subscribes to alerts from now on.
    ///
    /// # Errors
    /// If there is no response, or its status is not 200.
    pub fn follow(namespace: &Namespace) -> Result<Self> {
        let stream = namespace.inside(|| request("/api/v1/events"))??;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !line.contains(" 200 ") {
            bail!("events: {}", line.trim());
        }
        let (sender, alerts) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut is_alert = false;
            for line in reader.lines().map_while(Result::ok) {
                if let Some(event) = line.strip_prefix("event:") {
                    is_alert = event.trim() == "alert";
                }
                let Some(data) = line.strip_prefix("data:").filter(|_| is_alert) else { continue };
                let Ok(alert) = serde_json::from_str(data) else { continue };
                if sender.send((time::now(), alert)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { alerts, stream, reader: Some(reader) })
    }

    /// Next alert.
    ///
    /// # Errors
    /// If none arrives within `timeout`.
    pub fn next(&self, timeout: Duration) -> Result<(Duration, Value)> {
        self.alerts
            .recv_timeout(timeout)
            .with_context(|| format!("no alert within {} s", timeout.as_secs_f32()))
    }

    /// Alerts that have already arrived.
    #[must_use]
    pub fn arrived(&self) -> Vec<(Duration, Value)> {
        self.alerts.try_iter().collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _closed_by_the_other_end = self.stream.shutdown(Shutdown::Both);
        let _ended = self.reader.take().map(JoinHandle::join);
    }
}
