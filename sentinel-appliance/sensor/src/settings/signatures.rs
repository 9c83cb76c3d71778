//! `signatures.json`: lists of names and addresses, and sizes of transfers, as data.
//!
//! The file of the time of building is packed by the compiler. Another one is read at the start and at each reload; a member that it leaves out
//! is as built in.

mod built_in;
mod ranges;

use std::fmt;
use std::path::{Path, PathBuf};

use sentinel_detect::{
    ABUSED_ZONE, ALLOWED, AddressClass, MALICIOUS, MALICIOUS_FINGERPRINT, MAX_NAME, MAX_NAME_LABELS,
    MAX_SERVICES, is_fingerprint, name_entry, signatures_header, signatures_need,
};
use sentinel_units::Prefix;
use tinyjson::JsonValue;

use crate::settings::json::{self, JsonError, Object, member};
use ranges::{Ranges, Row, edges_of, heap_sort};

pub(crate) use built_in::BUILT_IN;

/// Largest file beside eight times the memory for the lists, in bytes: entries are shorter once they are packed. Reading takes about seven times
/// as much as the file for a moment.
const MAX_FILE: usize = 64 * 1024;

/// Signatures in force.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    /// Packed as the engine takes them; `None` for those that are built in.
    pub(crate) lists: Option<Vec<u8>>,
    pub(crate) transfer_thresholds: TransferThresholds,
}

/// Bytes of one transfer from which on it is large.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TransferThresholds {
    /// To or from any host.
    pub(crate) default: u64,
    /// To or from a service to which people give large files.
    pub(crate) known_large_file_services: u64,
}

impl TransferThresholds {
    /// Both as the engine takes them: 4 GiB at most.
    pub(crate) fn sizes(self) -> [u32; 2] {
        [self.default, self.known_large_file_services].map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX))
    }
}

impl Default for TransferThresholds {
    fn default() -> Self {
        Self { default: 100 << 20, known_large_file_services: 1 << 30 }
    }
}

/// Reason why a file is not read, with the file.
#[derive(Debug)]
pub(crate) struct SignaturesError {
    file: PathBuf,
    cause: Fault,
}

/// Fault of a document.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(std::io::Error),
    /// Bytes of the file, and how many it may have.
    TooLarge(u64, usize),
    Json(JsonError),
    /// A member or an entry is wrong: its line, its place, and what would be right.
    Wrong(usize, String, &'static str),
    /// The packed lists take so many bytes, and have so many.
    NoRoom(usize, usize),
}

impl fmt::Display for SignaturesError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.file.display(), self.cause)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(out),
            Self::TooLarge(bytes, most) => {
                write!(out, "{bytes} bytes; with this memory_kib a file of signatures has at most {most}")
            }
            Self::Json(error) => error.fmt(out),
            Self::Wrong(line, place, right) => write!(out, "line {line}: {place}: want {right}"),
            Self::NoRoom(needs, has) => write!(
                out,
                "the lists take {needs} bytes; memory_kib leaves {has} of each worker for them: raise it or shorten the lists"
            ),
        }
    }
}

/// Reads the signatures in `path`, or gives those that are built in. `room` is the memory for lists in bytes.
///
/// # Errors
/// The file cannot be read, its first problem, or the lists need more than `room`.
pub(crate) fn load(path: Option<&Path>, room: usize) -> Result<Signatures, SignaturesError> {
    let Some(path) = path else { return Ok(Signatures::default()) };
    read(path, room).map_err(|cause| SignaturesError { file: path.to_owned(), cause })
}

fn read(path: &Path, room: usize) -> Result<Signatures, Fault> {
    let size = std::fs::metadata(path).map_err(Fault::Io)?.len();
    let most = room.saturating_mul(8).saturating_add(MAX_FILE);
    if usize::try_from(size).is_ok_and(|size| size <= most) {
        parse(&std::fs::read_to_string(path).map_err(Fault::Io)?, room)
    } else {
        Err(Fault::TooLarge(size, most))
    }
}

/// Members of the document, and of those that are objects.
const MEMBERS: &[(&str, &[&str])] = &[
    ("chat", &[]),
    ("cloud", &[]),
    ("suspicious_tlds", &[]),
    ("malicious", &["addresses", "domains", "fingerprints"]),
    ("tor", &["exit_nodes", "relays", "bridges"]),
    ("datacenter", &[]),
    ("proxy_vpn", &[]),
    ("allowed", &["addresses", "domains"]),
    ("transfer_thresholds", &["default", "known_large_file_services"]),
];
/// Lists of addresses, with the class of each.
const ADDRESSES: &[(&str, AddressClass)] = &[
    ("malicious.addresses", AddressClass::Malicious),
    ("tor.exit_nodes", AddressClass::TorExitNode),
    ("tor.relays", AddressClass::TorRelay),
    ("tor.bridges", AddressClass::TorBridge),
    ("datacenter", AddressClass::Datacenter),
    ("proxy_vpn", AddressClass::ProxyVpn),
    ("allowed.addresses", AddressClass::Allowed),
];

/// Reads a document.
pub(crate) fn parse(text: &str, room: usize) -> Result<Signatures, Fault> {
    let value = json::parse(text).map_err(Fault::Json)?;
    let document = Document { text, value };
    document.known_members()?;
    let mut thresholds = TransferThresholds::default();
    for (name, bytes) in [
        ("default", &mut thresholds.default),
        ("known_large_file_services", &mut thresholds.known_large_file_services),
    ] {
        if let Some(value) = member(&document.value, "transfer_thresholds").and_then(|it| member(it, name)) {
            let whole = json::whole(value).filter(|bytes| *bytes > 0);
            *bytes = whole.ok_or_else(|| {
                document.wrong(&["transfer_thresholds", name], "", "a whole number of bytes above 0")
            })?;
        }
    }
    let lists = document.packed()?;
    let needs = signatures_need(&lists);
    if needs > room {
        return Err(Fault::NoRoom(needs, room));
    }
    Ok(Signatures { lists: Some(lists), transfer_thresholds: thresholds })
}

/// Names and services of a document, as they are packed.
#[derive(Default)]
struct Names {
    /// The entry is the first number of the row, so that rows of all lists are sorted by the same code.
    entries: Vec<Row>,
    services: Vec<u8>,
    service_count: u8,
}

impl Names {
    /// Appends a service; gives its number.
    fn service(&mut self, is_storage: bool, name: &[u8]) -> Option<u8> {
        let number = self.service_count;
        if usize::from(number) >= MAX_SERVICES {
            return None;
        }
        self.services.extend([u8::from(is_storage), u8::try_from(name.len()).unwrap_or(0)]);
        self.services.extend(name);
        self.service_count += 1;
        Some(number)
    }

    /// Appends what is built in of the chat services, of the storage, and of the zones, as far as it is asked for.
    fn add_built_in(&mut self, chat: bool, storage: bool, zones: bool) {
        let mut numbers = [None; MAX_SERVICES];
        let mut rest = built_in::services();
        for number in &mut numbers {
            let [is_storage, len, behind @ ..] = rest else { break };
            let (name, next) = behind.split_at_checked(usize::from(*len)).unwrap_or_default();
            if if *is_storage == 0 { chat } else { storage } {
                *number = self.service(*is_storage != 0, name);
            }
            rest = next;
        }
        for entry in built_in::entries() {
            let [value, ..] = entry.to_le_bytes();
            let value = match value {
                ABUSED_ZONE => zones.then_some(value),
                _ => numbers.get(usize::from(value)).copied().flatten(),
            };
            self.entries.extend(value.map(|value| [entry & !0xff | u64::from(value), 0, 0, 0]));
        }
    }
}

struct Document<'t> {
    text: &'t str,
    value: JsonValue,
}

impl Document<'_> {
    /// Fault of an entry of the member at `path`; without a text, of the member itself. Its line is that of the first such text behind the names of
    /// the path.
    fn wrong(&self, path: &[&str], entry: &str, right: &'static str) -> Fault {
        let mut at = 0;
        for word in path.iter().chain([&entry]).filter(|word| !word.is_empty()) {
            let quoted = ["\"", word, "\""].concat();
            at += self.text.get(at..).and_then(|rest| rest.find(&quoted)).unwrap_or(0);
        }
        let line = self.text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let place = path.join(".");
        let place = if entry.is_empty() { place } else { format!("{place}: \"{entry}\"") };
        Fault::Wrong(line, place, right)
    }

    /// A name that is not known is an error: a list under it would be loaded by nobody.
    fn known_members(&self) -> Result<(), Fault> {
        let Some(object) = self.value.get::<Object>() else {
            return Err(self.wrong(&[], "", "an object with lists"));
        };
        for (name, value) in object {
            let Some((_, inner)) = MEMBERS.iter().find(|(known, _)| known == name) else {
                return Err(self.wrong(
                    &[name],
                    "",
                    "chat, cloud, suspicious_tlds, malicious, tor, datacenter, proxy_vpn, allowed or transfer_thresholds",
                ));
            };
            if inner.is_empty() {
                continue;
            }
            let Some(object) = value.get::<Object>() else {
                return Err(self.wrong(&[name], "", "an object"));
            };
            if let Some(other) = object.keys().find(|other| !inner.contains(&other.as_str())) {
                return Err(self.wrong(&[name, other], "", "a member that the description of the file has"));
            }
        }
        Ok(())
    }

    /// The list at `place`, of which a dot separates two names; empty if it is not there.
    fn list(&self, place: &str) -> Result<&[JsonValue], Fault> {
        let path: Vec<_> = place.split('.').collect();
        let value = path.iter().try_fold(&self.value, |value, name| member(value, name));
        match value.map(JsonValue::get::<Vec<JsonValue>>) {
            None => Ok(&[]),
            Some(Some(list)) => Ok(list),
            Some(None) => Err(self.wrong(&path, "", "a list")),
        }
    }

    fn packed(&self) -> Result<Vec<u8>, Fault> {
        let mut names = Names::default();
        let is_absent = |name: &str| member(&self.value, name).is_none();
        names.add_built_in(is_absent("chat"), is_absent("cloud"), is_absent("suspicious_tlds"));
        for (place, is_storage) in [("chat", false), ("cloud", true)] {
            self.services(place, is_storage, &mut names)?;
        }
        for (place, value) in
            [("suspicious_tlds", ABUSED_ZONE), ("malicious.domains", MALICIOUS), ("allowed.domains", ALLOWED)]
        {
            self.domains(self.list(place)?, place, value, &mut names.entries)?;
        }
        self.fingerprints(&mut names.entries)?;
        heap_sort(&mut names.entries);
        names.entries.dedup();
        let ranges = self.ranges()?;
        let [count, v4, v6] = [names.entries.len(), ranges.v4.len() / 4, ranges.v6.len() / 16]
            .map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let mut packed = signatures_header(count, v4, v6).to_vec();
        packed.extend(names.entries.iter().flat_map(|[entry, ..]| entry.to_le_bytes()));
        for part in [ranges.v4, ranges.v6, ranges.classes, names.services] {
            packed.extend(part);
        }
        Ok(packed)
    }

    fn services(&self, place: &str, is_storage: bool, names: &mut Names) -> Result<(), Fault> {
        for entry in self.list(place)? {
            let name = member(entry, "name").map_or("", text);
            if !(1..=24).contains(&name.len()) {
                return Err(self.wrong(&[place], name, "an object with a \"name\" of 1 to 24 bytes"));
            }
            let Some(domains) = member(entry, "domains").and_then(JsonValue::get::<Vec<JsonValue>>) else {
                return Err(self.wrong(&[place], name, "a list \"domains\""));
            };
            let Some(number) = names.service(is_storage, name.as_bytes()) else {
                return Err(self.wrong(&[place], name, "at most 30 services in \"chat\" and \"cloud\""));
            };
            self.domains(domains, place, number, &mut names.entries)?;
        }
        Ok(())
    }

    fn domains(
        &self,
        list: &[JsonValue],
        place: &str,
        value: u8,
        entries: &mut Vec<Row>,
    ) -> Result<(), Fault> {
        for entry in list {
            let name = text(entry).trim_end_matches('.').to_ascii_lowercase();
            let is_label = |label: &str| {
                (1..64).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_graphic())
            };
            if name.len() > MAX_NAME
                || name.split('.').count() > MAX_NAME_LABELS
                || !name.split('.').all(is_label)
            {
                let path: Vec<_> = place.split('.').collect();
                return Err(self.wrong(&path, text(entry), "a domain name of at most 10 labels, in ASCII"));
            }
            entries.push([name_entry(name.as_bytes(), value), 0, 0, 0]);
        }
        Ok(())
    }

    fn fingerprints(&self, entries: &mut Vec<Row>) -> Result<(), Fault> {
        for entry in self.list("malicious.fingerprints")? {
            let text = text(entry).to_ascii_lowercase();
            if !is_fingerprint(text.as_bytes()) {
                let path = ["malicious", "fingerprints"];
                return Err(self.wrong(
                    &path,
                    self::text(entry),
                    "the 32 digits of a JA3, or a JA4 of 36 characters",
                ));
            }
            entries.push([name_entry(text.as_bytes(), MALICIOUS_FINGERPRINT), 0, 0, 0]);
        }
        Ok(())
    }

    fn ranges(&self) -> Result<Ranges, Fault> {
        let mut edges = Vec::new();
        for (place, class) in ADDRESSES {
            for entry in self.list(place)? {
                let Ok(network) = text(entry).parse::<Prefix>() else {
                    let right = "an IP address, or a network such as 198.51.100.0/24 or 2001:db8::/32";
                    let path: Vec<_> = place.split('.').collect();
                    return Err(self.wrong(&path, text(entry), right));
                };
                edges.extend(edges_of(network, *class));
            }
        }
        Ok(Ranges::of(&mut edges))
    }
}

fn text(value: &JsonValue) -> &str {
    value.get::<String>().map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1 << 20;

    /// The lists that the compiler packs are those that the parser makes of the file.
    #[test]
    fn the_built_in_lists_are_those_of_the_repository_and_spare_common_names() {
        let file = str::from_utf8(built_in::FILE).unwrap();
        let signatures = parse(file, ROOM).unwrap();
        assert_eq!(signatures.lists.as_deref(), Some(&BUILT_IN[..]));
        assert_eq!(signatures.transfer_thresholds, TransferThresholds::default());
        assert!(load(None, 0).unwrap().lists.is_none());
        let labels = String::from_utf8_lossy(built_in::services());
        for label in ["Signal", "WhatsApp", "Telegram", "Discord", "Slack", "Teams", "Zoom", "iCloud"] {
            assert!(labels.contains(label), "{label}");
        }
        let hashes: Vec<_> = built_in::entries().map(|entry| entry >> 24).collect();
        // Nor may the filter, of two bits less than a key has, let all names under a common domain through.
        let keys: Vec<_> = built_in::entries().map(|entry| entry >> 10 & 0x3fff).collect();
        let common = "com net org info edu gov arpa local lan home app dev io ai tv co eu de uk fr nl it es pl ru cn jp br au ca us \
            ch se no dk fi at be cz in apple.com amazonaws.com cloudfront.net akamaiedge.net facebook.com";
        for name in common.split_whitespace() {
            let entry = name_entry(name.as_bytes(), 0);
            assert!(!hashes.contains(&(entry >> 24)) && !keys.contains(&(entry >> 10 & 0x3fff)), "{name}");
        }
    }

    /// Row D25 of the contract.
    #[test]
    fn the_documented_shape_is_read_and_what_it_leaves_out_is_built_in() {
        let text = r#"{"tor":{"exit_nodes":[],"bridges":[]},"transfer_thresholds":{"default":104857600,"known_large_file_services":1073741824}}"#;
        let signatures = parse(text, ROOM).unwrap();
        assert_eq!(signatures.transfer_thresholds, TransferThresholds::default());
        assert_eq!(signatures.lists.as_deref(), Some(&BUILT_IN[..]));
        let text = text.replace("104857600", "5").replace("[]", r#"["2001:db8::1", "198.51.100.0/24"]"#);
        let signatures = parse(&text, ROOM).unwrap();
        assert_eq!(signatures.transfer_thresholds.sizes(), [5, 1 << 30]);
        assert_eq!(signatures.lists.unwrap().len(), BUILT_IN.len() + 2 * 5 + 17);
        let empty = r#"{"chat":[],"cloud":[],"suspicious_tlds":[]}"#;
        assert_eq!(parse(empty, ROOM).unwrap().lists.unwrap(), signatures_header(0, 0, 0));
    }

    /// The numbers of services that stay follow those that are gone.
    #[test]
    fn a_list_in_the_file_takes_the_place_of_its_own_only() {
        let own = r#"{"chat":[{"name":"Mine","domains":["chat.test","Chat.Test."]}]}"#;
        let lists = parse(own, ROOM).unwrap().lists.unwrap();
        let names: Vec<_> = lists[12..].chunks(8).take(lists[0].into()).map(<[u8]>::to_vec).collect();
        let value = |name: &str| {
            let entry = name_entry(name.as_bytes(), 0).to_le_bytes();
            names.iter().find(|known| known[1..] == entry[1..]).map(|known| known[0])
        };
        assert_eq!(
            (value("dropbox.com"), value("icloud.com"), value("chat.test")),
            (Some(0), Some(4), Some(5))
        );
        assert_eq!((value("signal.org"), value("xyz")), (None, Some(ABUSED_ZONE)));
        assert!(lists.ends_with(b"\x00\x04Mine"));
    }

    #[test]
    fn wrong_files_are_explained_with_line_and_place() {
        let long = "a.".repeat(10) + "b";
        for (text, what) in [
            ("", "not JSON: line 1, character 1"),
            ("[]", "line 1: : want an object with lists"),
            ("{\n\"chats\":[]}", "line 2: chats: want chat, cloud"),
            ("{\"tor\":\n{\"exits\":[]}}", "line 2: tor.exits: want a member that"),
            (r#"{"tor":[]}"#, "line 1: tor: want an object"),
            (r#"{"datacenter":"10.0.0.0/8"}"#, "datacenter: want a list"),
            (r#"{"allowed":{"domains":7}}"#, "allowed.domains: want a list"),
            (
                "{\"tor\":{\"exit_nodes\":[\"::\"],\"bridges\":\n[\"198.51.100.1\",\n\"x\"]}}",
                "line 3: tor.bridges: \"x\": want an IP address",
            ),
            (r#"{"proxy_vpn":[7]}"#, "proxy_vpn: want an IP address"),
            (r#"{"chat":[{"domains":[]}]}"#, "chat: want an object with a \"name\""),
            (r#"{"chat":[{"name":"x"}]}"#, "chat: \"x\": want a list \"domains\""),
            (
                "{\"chat\":[{\"name\":\"x\",\n\"domains\":[\"a..b\"]}]}",
                "line 2: chat: \"a..b\": want a domain name",
            ),
            (r#"{"suspicious_tlds":["top",""]}"#, "suspicious_tlds: want a domain name"),
            (
                "{\"malicious\":\n{\"fingerprints\":[\"b386946a5a44d1ddcc843bc75336dfcg\"]}}",
                "line 2: malicious.fingerprints: \"b386946a5a44d1ddcc843bc75336dfcg\": want the 32 digits of a JA3",
            ),
            (
                r#"{"malicious":{"fingerprints":["t12d190800_d83cc789557e_7af1ed941c2"]}}"#,
                "want the 32 digits of a JA3, or a JA4 of 36 characters",
            ),
            (&format!(r#"{{"suspicious_tlds":["{long}"]}}"#), "at most 10 labels"),
            (
                r#"{"transfer_thresholds":{"default":0}}"#,
                "transfer_thresholds.default: want a whole number of bytes above 0",
            ),
        ] {
            let error = parse(text, ROOM).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let services: Vec<_> =
            (0..31).map(|number| format!(r#"{{"name":"{number}","domains":[]}}"#)).collect();
        let text = format!("{{\"cloud\":[],\"chat\":[{}]}}", services.join(",\n"));
        let error = parse(&text, ROOM).unwrap_err().to_string();
        assert!(error.contains("line 31: chat: \"30\": want at most 30 services"), "{error}");
    }

    #[test]
    fn lists_larger_than_the_memory_are_refused() {
        let text = r#"{"malicious":{"addresses":["198.51.100.1"],"domains":["evil.test"]}}"#;
        let needed = signatures_need(&parse(text, ROOM).unwrap().lists.unwrap());
        assert!(parse(text, needed).is_ok());
        let error = parse(text, needed - 1).unwrap_err().to_string();
        let expected = format!("the lists take {needed} bytes; memory_kib leaves {}", needed - 1);
        assert!(error.contains(&expected), "{error}");
    }
}
