//! Minimal client of HTTP/1.0 and server-sent events, over TLS for `https`.
//!
//! Read first: RFC 9112 sections 3 to 6; HTML standard section 9.2.6. HTTP/1.0, because its answers end with the
//! connection and are never chunked.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use super::connect::{Key, Stream, Tls, is_local};

/// Time without a byte. The collector sends a comment every ten seconds, so three of them are missing.
const READ_TIMEOUT: Duration = Duration::from_secs(35);
/// Longest line of a header or an event, in bytes.
const MAX_LINE_LEN: u64 = 64 * 1024;
/// Longest answer, in bytes.
const MAX_BODY_LEN: u64 = 64 * 1024 * 1024;

/// Address of the collector.
#[derive(Debug)]
pub(super) struct Client {
    /// `host:port`, as it stands in the URL.
    authority: String,
    /// `host:port`, with port 80 or 443 if the URL has none.
    address: String,
    tls: Option<Tls>,
    key: Option<Key>,
}

/// One event of the stream.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ServerEvent {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) data: String,
}

impl Client {
    /// # Errors
    /// Anything but `http://host[:port]` and `https://host[:port]`, a key for another machine without TLS, and a file of
    /// authorities that has none.
    pub(super) fn new(url: &str, key: Option<Key>, authority: Option<&Path>) -> anyhow::Result<Self> {
        let (rest, port) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (rest, 80),
            (None, Some(rest)) => (rest, 443),
            (None, None) => bail!("the URL {url:?} does not start with http:// or https://"),
        };
        let authority_part = rest.strip_suffix('/').unwrap_or(rest);
        let unwanted = |char: char| char.is_control() || matches!(char, '/' | ' ' | '@' | '?' | '#');
        if authority_part.is_empty() || authority_part.contains(unwanted) {
            bail!("the URL {url:?} is not http://host:port or https://host:port");
        }
        let with_port = authority_part.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let host = with_port.map_or(authority_part, |(host, _)| host);
        let is_encrypted = port == 443;
        if key.is_some() && !is_encrypted && !is_local(host) {
            bail!("the key is not sent to another machine without TLS: give https://");
        }
        let address = if with_port.is_some() { authority_part.to_owned() } else { format!("{host}:{port}") };
        let tls = is_encrypted.then(|| Tls::new(host, authority)).transpose()?;
        Ok(Self { authority: authority_part.to_owned(), address, tls, key })
    }

    /// The body of `path`.
    pub(super) fn get(&self, path: &str) -> io::Result<String> {
        let mut body = String::new();
        self.request(path, "")?.take(MAX_BODY_LEN).read_to_string(&mut body)?;
        Ok(body)
    }

    /// The stream at `path`, after the event `last_id`.
    pub(super) fn events(
        &self,
        path: &str,
        last_id: Option<&str>,
    ) -> io::Result<EventReader<BufReader<Box<dyn Stream>>>> {
        let header = last_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        Ok(EventReader(self.request(path, &header)?))
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(READ_TIMEOUT))?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let encrypted = tls.connect(stream).map_err(|error| {
            let hint = "the certs/ca.crt that `init` has made is given by --ca";
            io::Error::new(error.kind(), format!("TLS with {}: {error} ({hint})", self.authority))
        })?;
        Ok(Box::new(encrypted))
    }

    fn request(&self, path: &str, headers: &str) -> io::Result<BufReader<Box<dyn Stream>>> {
        let mut stream = self.connect()?;
        let key = self.key.as_ref().map(Key::header).unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: {}\r\nAccept: */*\r\n{key}{headers}\r\n", self.authority);
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        let mut reader = BufReader::new(stream);
        let status = line(&mut reader)?.unwrap_or_default();
        while line(&mut reader)?.is_some_and(|header| !header.is_empty()) {}
        match status.split(' ').nth(1) {
            Some("200") => Ok(reader),
            Some(_) if status.starts_with("HTTP/") => {
                let mut body = String::new();
                reader.take(4_096).read_to_string(&mut body)?;
                let hint = if status.contains(" 401 ") {
                    "; a key is given by SENTINEL_COLLECTOR_KEY or --key-file"
                } else {
                    ""
                };
                let text = format!("the collector answered {status}: {}{hint}", crate::log::printable(&body));
                // 5xx passes: a collector that starts or stops. 4xx does not: the request is wrong.
                let kind =
                    if status.contains(" 5") { io::ErrorKind::Other } else { io::ErrorKind::InvalidData };
                Err(io::Error::new(kind, text))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP")),
        }
    }
}

/// One line without its end; none at the end of the stream.
fn line(reader: &mut impl io::BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    let count = reader.by_ref().take(MAX_LINE_LEN).read_line(&mut text)?;
    if count == 0 {
        return Ok(None);
    }
    if !text.ends_with('\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a line is cut off or too long"));
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(Some(text))
}

/// Reads events off a stream.
#[derive(Debug)]
pub(super) struct EventReader<R>(R);

impl<R: io::BufRead> EventReader<R> {
    /// The next event with data; none at the end of the stream. An event cut off by the end is dropped.
    pub(super) fn next(&mut self) -> io::Result<Option<ServerEvent>> {
        let mut event = ServerEvent { name: "message".into(), id: None, data: String::new() };
        let mut data_seen = false;
        while let Some(text) = line(&mut self.0)? {
            if text.is_empty() {
                if data_seen {
                    return Ok(Some(event));
                }
                continue;
            }
            let (field, value) = text.split_once(':').unwrap_or((&text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.name = value.into(),
                "id" => event.id = Some(value.into()),
                "data" => {
                    if data_seen {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                    data_seen = true;
                }
                _ => {} // a comment, or a field without use here
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_parsed_as_the_standard_requires() {
        let stream =
            ": comment\n\nevent: alert\nid: 7\ndata: {\"a\":1}\n\ndata:x\r\ndata: y\r\n\r\ndata: cut";
        let mut events = EventReader(stream.as_bytes());
        let first = events.next().unwrap().unwrap();
        assert_eq!(
            first,
            ServerEvent { name: "alert".into(), id: Some("7".into()), data: "{\"a\":1}".into() }
        );
        let second = events.next().unwrap().unwrap();
        assert_eq!(second, ServerEvent { name: "message".into(), id: None, data: "x\ny".into() });
        assert!(events.next().is_err(), "the last line has no end");
    }

    #[test]
    fn a_line_without_end_is_rejected_before_it_fills_memory() {
        let endless = io::repeat(b'x');
        assert!(EventReader(BufReader::new(endless)).next().is_err());
    }

    fn client(url: &str, key: Option<&str>) -> anyhow::Result<Client> {
        Client::new(url, Key::find(None, key.map(str::to_owned))?, None)
    }

    #[test]
    fn urls_name_a_host_and_nothing_else() {
        assert_eq!(client("http://127.0.0.1:8080/", None).unwrap().address, "127.0.0.1:8080");
        assert_eq!(client("http://[::1]", None).unwrap().address, "[::1]:80");
        for wrong in
            ["", "127.0.0.1:8080", "ftp://a", "http://", "http://a b", "http://a/b", "http://a\r\nX: y"]
        {
            assert!(client(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_leaves_this_machine_over_tls_only() {
        let refused = client("http://192.0.2.1:8080", Some("abc")).unwrap_err().to_string();
        assert!(refused.contains("without TLS"), "{refused}");
        for local in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:2"] {
            assert!(client(local, Some("abc")).is_ok(), "{local}");
        }
        for wrong in ["a b", "a\r\nX: y", &"x".repeat(300)] {
            assert!(client("http://127.0.0.1:1", Some(wrong)).is_err(), "{wrong:?}");
        }
        assert!(client("http://127.0.0.1:1", Some("")).is_ok(), "an empty variable is none");
    }
}
