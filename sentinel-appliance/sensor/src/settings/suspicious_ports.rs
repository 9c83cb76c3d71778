//! List of ports that malware is known to use, as data.

use std::fmt;
use std::path::{Path, PathBuf};

use sentinel_alert::ShortName;
use sentinel_detect::{ListedPort, PortProtocol};
use sentinel_units::Port;
use tinyjson::JsonValue;

use crate::settings::json::{self, JsonError, member};

/// `config/suspicious-ports.json` of the time of building, without the sources of its entries, which only people read.
static BUILT_IN: [u8; built_in(&mut [])] = {
    let mut text = [0; built_in(&mut [])];
    built_in(&mut text);
    text
};
/// Largest list that is read, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Reason why a list is not read, with the file.
#[derive(Debug)]
pub(crate) struct ListError {
    file: PathBuf,
    cause: ListFault,
}

#[derive(Debug)]
enum ListFault {
    Io(std::io::Error),
    /// Larger than [`MAX_FILE`]; its bytes.
    TooLarge(u64),
    Json(JsonError),
    /// Not an object with a list `ports`.
    NoList,
    /// An entry is wrong; its index from 1.
    Entry(usize, EntryFault),
}

#[derive(Debug)]
enum EntryFault {
    NoPort,
    PortRange(u64),
    Protocol(u16),
    NoName,
}

impl fmt::Display for ListError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.file.display(), self.cause)
    }
}

impl fmt::Display for ListFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(out),
            Self::TooLarge(bytes) => write!(out, "{bytes} bytes; a list of ports has at most {MAX_FILE}"),
            Self::Json(error) => error.fmt(out),
            Self::NoList => out.write_str("want an object with a list \"ports\""),
            Self::Entry(index, fault) => write!(out, "entry {index} of \"ports\": {fault}"),
        }
    }
}

impl fmt::Display for EntryFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort => out.write_str("want a whole number \"port\""),
            Self::PortRange(number) => write!(out, "port {number} is not one of 1 to 65535"),
            Self::Protocol(port) => {
                write!(out, "port {port}: \"protocol\" is neither \"tcp\" nor \"udp\"")
            }
            Self::NoName => out.write_str("want a text \"name\""),
        }
    }
}

/// Writes the built-in list to `out` as far as there is room, without its `"source"` members and the white space around texts; gives the
/// bytes that it takes.
#[expect(clippy::indexing_slicing, reason = "runs at compile time, where a wrong index does not compile")]
const fn built_in(out: &mut [u8]) -> usize {
    const FILE: &[u8] = include_bytes!("../../../../config/suspicious-ports.json");
    const SOURCE: &[u8] = b", \"source\": \"";
    let (mut read, mut written, mut in_text) = (0, 0, false);
    while read < FILE.len() {
        let mut same = 0;
        while !in_text && same < SOURCE.len() && FILE[read + same] == SOURCE[same] {
            same += 1;
        }
        if same == SOURCE.len() {
            read += same;
            while FILE[read] != b'"' {
                read += 1;
            }
        } else {
            // No text of the file has an escape.
            in_text ^= FILE[read] == b'"';
            if in_text || !FILE[read].is_ascii_whitespace() {
                if written < out.len() {
                    out[written] = FILE[read];
                }
                written += 1;
            }
        }
        read += 1;
    }
    written
}

/// Reads the list in `path`, or the built-in one.
///
/// # Errors
/// The file cannot be read, or is no list of ports.
pub(crate) fn load(path: Option<&Path>) -> Result<Vec<ListedPort>, ListError> {
    let file = path.unwrap_or(Path::new("suspicious-ports.json"));
    let outcome = path.map_or_else(|| parse(str::from_utf8(&BUILT_IN).unwrap_or_default()), read);
    outcome.map_err(|cause| ListError { file: file.to_owned(), cause })
}

fn read(path: &Path) -> Result<Vec<ListedPort>, ListFault> {
    let size = std::fs::metadata(path).map_err(ListFault::Io)?.len();
    if size > MAX_FILE {
        return Err(ListFault::TooLarge(size));
    }
    parse(&std::fs::read_to_string(path).map_err(ListFault::Io)?)
}

fn parse(text: &str) -> Result<Vec<ListedPort>, ListFault> {
    let document = json::parse(text).map_err(ListFault::Json)?;
    let ports =
        member(&document, "ports").and_then(JsonValue::get::<Vec<JsonValue>>).ok_or(ListFault::NoList)?;
    // Sorted, without duplicates, whatever the order in the file; the last entry of a port counts.
    let order = |listed: &ListedPort| (listed.protocol, listed.port);
    let mut listed: Vec<ListedPort> = Vec::new();
    for (index, entry) in ports.iter().enumerate() {
        let port = entry_of(entry).map_err(|fault| ListFault::Entry(index + 1, fault))?;
        let found = listed.binary_search_by_key(&order(&port), order);
        match found.ok().and_then(|place| listed.get_mut(place)) {
            Some(same) => *same = port,
            None => listed.insert(found.unwrap_or_else(|place| place), port),
        }
    }
    Ok(listed)
}

fn entry_of(entry: &JsonValue) -> Result<ListedPort, EntryFault> {
    let field = |name: &str| member(entry, name);
    let number = field("port").and_then(json::whole).ok_or(EntryFault::NoPort)?;
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    let port = port.ok_or(EntryFault::PortRange(number))?;
    let protocol = match field("protocol").and_then(JsonValue::get::<String>).map(String::as_str) {
        Some("tcp") => PortProtocol::Tcp,
        Some("udp") => PortProtocol::Udp,
        _ => return Err(EntryFault::Protocol(port)),
    };
    let label: &String = field("name").and_then(JsonValue::get).ok_or(EntryFault::NoName)?;
    let mut short = ShortName::new();
    for char in label.chars().filter(|char| !char.is_control()) {
        if short.push(char).is_err() {
            break;
        }
    }
    Ok(ListedPort { protocol, port: Port(port), label: short })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_fits_the_table_and_spares_common_ports() {
        let list = load(None).unwrap();
        let file = include_str!("../../../../config/suspicious-ports.json");
        assert!(file.contains("\"source\"") && !file.contains('\\') && BUILT_IN.len() * 2 < file.len());
        assert_eq!(format!("{list:?}"), format!("{:?}", parse(file).unwrap()));
        assert!(list.iter().any(|listed| listed.port == Port(4444)));
        assert!(list.len() <= 128, "{} entries do not fit the table", list.len());
        for normal in [22, 53, 80, 123, 443, 993, 3389, 5353, 8080] {
            assert!(list.iter().all(|listed| listed.port != Port(normal)), "{normal}");
        }
    }

    #[test]
    fn a_list_is_sorted_and_the_last_of_a_port_counts() {
        let entry =
            |port, protocol, name| format!(r#"{{"port":{port},"protocol":"{protocol}","name":"{name}"}}"#);
        let entries = [(9, "udp", "a"), (9, "tcp", "b"), (7, "udp", "c"), (9, "udp", "d")];
        let entries = entries.map(|(port, protocol, name)| entry(port, protocol, name)).join(",");
        let list = parse(&format!("{{\"ports\":[{entries}]}}")).unwrap();
        assert_eq!(list.iter().map(|listed| listed.label.as_str()).collect::<Vec<_>>(), ["b", "c", "d"]);
    }

    #[test]
    fn wrong_lists_are_explained() {
        for (text, what) in [
            ("", "not JSON"),
            ("[]", "want an object with a list \"ports\""),
            (r#"{"ports":[{"port":0,"protocol":"tcp","name":"x"}]}"#, "port 0 is not one of 1 to 65535"),
            (r#"{"ports":[{"port":1.5,"protocol":"tcp","name":"x"}]}"#, "want a whole number \"port\""),
            (r#"{"ports":[{"port":9,"protocol":"sctp","name":"x"}]}"#, "neither \"tcp\" nor \"udp\""),
            (r#"{"ports":[{"port":9,"protocol":"tcp"}]}"#, "want a text \"name\""),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
