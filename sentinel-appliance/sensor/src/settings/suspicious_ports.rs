//! The list of ports that malware is known to use, as data.

use std::path::Path;

use sentinel_alert::ShortName;
use sentinel_detect::{ListedPort, PortProtocol};
use sentinel_units::Port;
use tinyjson::JsonValue;

use crate::settings::json::{self, member};

/// `config/suspicious-ports.json` of the time of building.
const BUILT_IN: &str = include_str!("../../../../config/suspicious-ports.json");
/// Largest list that is read, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// The list in `path`, or the built-in one.
///
/// # Errors
/// What is wrong with the file, and what would be right.
pub(crate) fn load(path: Option<&Path>) -> Result<Vec<ListedPort>, String> {
    let Some(path) = path else { return parse(BUILT_IN) };
    let name = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("{name}: {error}"))?.len();
    if size > MAX_FILE {
        return Err(format!("{name}: {size} bytes; a list of ports has at most {MAX_FILE}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    parse(&text).map_err(|what| format!("{name}: {what}"))
}

fn parse(text: &str) -> Result<Vec<ListedPort>, String> {
    let document = json::parse(text)?;
    let ports = member(&document, "ports")
        .and_then(JsonValue::get::<Vec<JsonValue>>)
        .ok_or("want an object with a list \"ports\"")?;
    // Sorted and without doubles, whatever the order in the file; the last of a port counts.
    let order = |listed: &ListedPort| (listed.protocol, listed.port);
    let mut listed: Vec<ListedPort> = Vec::new();
    for (index, entry) in ports.iter().enumerate() {
        let port = entry_of(entry).map_err(|what| format!("entry {} of \"ports\": {what}", index + 1))?;
        let found = listed.binary_search_by_key(&order(&port), order);
        match found.ok().and_then(|place| listed.get_mut(place)) {
            Some(same) => *same = port,
            None => listed.insert(found.unwrap_or_else(|place| place), port),
        }
    }
    Ok(listed)
}

fn entry_of(entry: &JsonValue) -> Result<ListedPort, String> {
    let field = |name: &str| member(entry, name);
    let number = field("port").and_then(json::whole).ok_or("want a whole number \"port\"")?;
    let port = u16::try_from(number).ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| format!("port {number} is not one of 1 to 65535"))?;
    let protocol = match field("protocol").and_then(JsonValue::get::<String>).map(String::as_str) {
        Some("tcp") => PortProtocol::Tcp,
        Some("udp") => PortProtocol::Udp,
        _ => return Err(format!("port {port}: \"protocol\" is neither \"tcp\" nor \"udp\"")),
    };
    let label: &String = field("name").and_then(JsonValue::get).ok_or("want a text \"name\"")?;
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
    fn the_built_in_list_is_sound() {
        let list = parse(BUILT_IN).unwrap();
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
            let error = parse(text).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
