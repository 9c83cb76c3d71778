//! Lists of indicators as people have them: one entry a line, hosts files, CSV of abuse.ch, and warning lists of MISP.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::{Context, Result};
use sentinel_detect::indicators::{KeyHash, KeyKind};
use sentinel_detect::{MAX_NAME, MAX_NAME_LABELS, MAX_URL, is_fingerprint};
use sentinel_units::Prefix;

/// Addresses of one network in a list at most.
const MAX_NETWORK: u32 = 256;

/// An entry of a list.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Indicator {
    /// First and last address of a network of IPv4.
    Addresses(u32, u32),
    Ipv6([u8; 16]),
    Name(String),
    Url(String),
    Fingerprint(String),
}

impl Indicator {
    /// Key of all that is no IPv4 address.
    pub(crate) fn key(&self) -> Option<(u64, KeyKind)> {
        let (bytes, kind) = match self {
            Self::Addresses(..) => return None,
            Self::Ipv6(octets) => (&octets[..], KeyKind::Ipv6),
            Self::Name(name) => (name.as_bytes(), KeyKind::Name),
            Self::Url(url) => (url.as_bytes(), KeyKind::Url),
            Self::Fingerprint(text) => (text.as_bytes(), KeyKind::Fingerprint),
        };
        Some((KeyHash::default().before(bytes).key(kind), kind))
    }
}

/// Entries of one file, and the lines that have none, by the reason: how many, and the first one.
#[derive(Default)]
pub(crate) struct List {
    pub(crate) entries: Vec<Indicator>,
    pub(crate) refused: BTreeMap<&'static str, (usize, usize, String)>,
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<List> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    if text.trim_start().starts_with('{') {
        return warning_list(&text).with_context(|| path.display().to_string());
    }
    Ok(lines(&text))
}

/// A warning list of MISP: the texts in its member `list`.
fn warning_list(text: &str) -> Result<List> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    let entries =
        value["list"].as_array().context("a JSON file is a warning list of MISP, with a member \"list\"")?;
    let mut list = List::default();
    for (number, entry) in (1..).zip(entries) {
        list.add(number, entry.as_str().unwrap_or_default());
    }
    Ok(list)
}

pub(crate) fn lines(text: &str) -> List {
    let mut list = List::default();
    for (number, line) in (1..).zip(text.lines()) {
        list.add(number, line);
    }
    list
}

impl List {
    /// Adds the entry of a line, unless it is empty or a comment.
    fn add(&mut self, number: usize, line: &str) {
        let line = line.trim_start_matches('\u{feff}').trim();
        let is_comment = line.starts_with(['#', ';', '!']) || line.starts_with("//");
        let line = line.split(" #").next().unwrap_or_default().trim();
        if is_comment || line.is_empty() {
            return;
        }
        match entry(line) {
            Ok(found) => self.entries.extend(found),
            Err(reason) => {
                self.refused.entry(reason).or_insert_with(|| (0, number, line.to_owned())).0 += 1;
            }
        }
    }
}

const NONE: &str = "neither an address, a name, a URL nor a fingerprint";

/// Entries of a line.
fn entry(line: &str) -> Result<Vec<Indicator>, &'static str> {
    // Hosts files: an address of this machine, and names for it.
    let mut words = line.split_ascii_whitespace();
    if let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok())
        && (address.is_unspecified() || address.is_loopback())
        && words.clone().next().is_some()
    {
        let names = words.filter(|word| word.contains('.') && word.parse::<IpAddr>().is_err());
        return names.map(name).collect();
    }
    // CSV: the first field that is one.
    let fields = line.split([',', '\t', '|']).map(|field| field.trim().trim_matches('"').trim());
    let mut reason = NONE;
    for field in fields {
        match indicator(field) {
            Ok(found) => return Ok(vec![found]),
            Err(other) if other != NONE => reason = other,
            Err(_) => {}
        }
    }
    Err(reason)
}

fn indicator(text: &str) -> Result<Indicator, &'static str> {
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("http://") {
        return url(rest.len(), text);
    }
    if lower.starts_with("https://") {
        return Err("the path of an https URL is not in clear text: list its name instead");
    }
    if is_fingerprint(lower.as_bytes()) {
        return Ok(Indicator::Fingerprint(lower));
    }
    let address =
        text.rsplit_once(':').filter(|(before, port)| !before.contains(':') && port.parse::<u16>().is_ok());
    let without_port = address.map_or(text, |(before, _)| before);
    if let Ok(network) = without_port.parse::<Prefix>() {
        return addresses(network);
    }
    name(text)
}

fn addresses(network: Prefix) -> Result<Indicator, &'static str> {
    let (first, last) = network.range();
    match (first.words(), last.words()) {
        ([.., first_word], [.., last_word]) if first.is_v4() && last.is_v4() => {
            if last_word - first_word < MAX_NETWORK {
                Ok(Indicator::Addresses(first_word, last_word))
            } else {
                Err("a network of more than 256 addresses: put it into signatures.json")
            }
        }
        (words, last) if words == last => {
            let mut octets = [0; 16];
            octets
                .chunks_exact_mut(4)
                .zip(words)
                .for_each(|(place, word)| place.copy_from_slice(&word.to_be_bytes()));
            Ok(Indicator::Ipv6(octets))
        }
        _ => Err("a network of IPv6: put it into signatures.json"),
    }
}

fn name(text: &str) -> Result<Indicator, &'static str> {
    let name =
        text.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..64).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let top_starts_with_letter =
        name.rsplit('.').next().is_some_and(|top| top.starts_with(|first: char| first.is_ascii_alphabetic()));
    if !name.split('.').all(is_label) || !top_starts_with_letter {
        return Err(NONE);
    }
    match name.split('.').count() {
        1 => Err(NONE),
        labels if labels > MAX_NAME_LABELS || name.len() > MAX_NAME => {
            Err("a name of more than 10 labels or 253 characters")
        }
        _ => Ok(Indicator::Name(name)),
    }
}

/// URL without its scheme: the last `len` bytes.
fn url(len: usize, text: &str) -> Result<Indicator, &'static str> {
    let rest = text.get(text.len() - len..).unwrap_or_default();
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    // Credentials in front of the host are no part of a request.
    let host = host.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let host = host.strip_suffix(":80").unwrap_or(&host);
    if host.is_empty() || !path.is_ascii() || path.len() >= MAX_URL {
        return Err("a URL without a host, with a path of more than 511 bytes, or not in ASCII");
    }
    Ok(Indicator::Url(format!("{host}/{path}")))
}

/// Entries that are never indicators: names with all names they lie below, and networks.
#[derive(Default)]
pub(crate) struct Allowed {
    names: std::collections::BTreeSet<String>,
    networks: Vec<Prefix>,
}

/// Addresses that no list can mean: of this machine, of private networks and of groups, and well-known resolvers.
const NEVER_ADDRESSES: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
    "1.1.1.1",
    "1.0.0.1",
    "8.8.8.8",
    "8.8.4.4",
    "9.9.9.9",
    "149.112.112.112",
    "208.67.222.222",
    "208.67.220.220",
];
/// Names that everybody asks for all day, and that a list names by mistake only.
const NEVER_NAMES: &str = "google.com googleapis.com gstatic.com googleusercontent.com youtube.com ytimg.com googlevideo.com android.com \
     microsoft.com windows.com windowsupdate.com live.com office.com office365.com outlook.com msftconnecttest.com msn.com bing.com azure.com \
     apple.com icloud.com mzstatic.com aaplimg.com amazon.com amazonaws.com cloudfront.net akamai.net akamaiedge.net akadns.net fastly.net \
     cloudflare.com facebook.com fbcdn.net instagram.com whatsapp.com whatsapp.net netflix.com nflxvideo.net spotify.com twitter.com x.com \
     linkedin.com wikipedia.org wikimedia.org mozilla.org mozilla.com firefox.com github.com githubusercontent.com debian.org ubuntu.com \
     openwrt.org kernel.org ntp.org letsencrypt.org digicert.com verisign.com globalsign.com sectigo.com arpa.net in-addr.arpa ip6.arpa \
     co.uk org.uk com.au com.br co.jp co.in com.cn com.tr github.io blogspot.com duckdns.org";

impl Allowed {
    pub(crate) fn built_in() -> Self {
        let mut new = Self::default();
        NEVER_NAMES.split_ascii_whitespace().for_each(|name| new.name(name));
        new.networks
            .extend(NEVER_ADDRESSES.iter().map(|text| text.parse::<Prefix>().expect("the list is tested")));
        new
    }

    /// Allows what a file names: lines, or a warning list of MISP.
    pub(crate) fn read(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        if text.trim_start().starts_with('{') {
            let value: serde_json::Value =
                serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            let entries = value["list"].as_array().into_iter().flatten();
            entries.filter_map(|entry| entry.as_str()).for_each(|entry| self.add(entry));
        } else {
            text.lines()
                .map(|line| line.split('#').next().unwrap_or_default())
                .for_each(|line| self.add(line));
        }
        Ok(())
    }

    fn add(&mut self, entry: &str) {
        match (entry.trim().parse::<Prefix>(), name(entry.trim())) {
            (Ok(network), _) => self.networks.push(network),
            (_, Ok(Indicator::Name(name))) => self.name(&name),
            _ => {}
        }
    }

    fn name(&mut self, name: &str) {
        self.names.insert(format!("www.{name}"));
        let mut rest = Some(name);
        while let Some(name) = rest {
            self.names.insert(name.to_owned());
            rest = name.split_once('.').map(|(_, parent)| parent);
        }
    }

    /// Returns true for what is allowed. A name below an allowed one is not: malware is hosted there.
    pub(crate) fn holds(&self, entry: &Indicator) -> bool {
        match entry {
            Indicator::Name(name) => self.names.contains(name),
            Indicator::Addresses(first, last) => [first, last].into_iter().any(|address| {
                self.networks
                    .iter()
                    .any(|network| network.contains(IpAddr::from(Ipv4Addr::from(*address)).into()))
            }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Indicator> {
        lines(text).entries
    }

    fn named(name: &str) -> Indicator {
        Indicator::Name(name.to_owned())
    }

    fn address(text: &str) -> Indicator {
        let number = u32::from(text.parse::<Ipv4Addr>().unwrap());
        Indicator::Addresses(number, number)
    }

    #[test]
    fn lists_of_all_forms_are_read() {
        for (text, expected) in [
            (
                "Evil.Example.\n*.bad.test\n.worse.test",
                vec![named("evil.example"), named("bad.test"), named("worse.test")],
            ),
            (
                "0.0.0.0 ads.test track.test # x\n127.0.0.1 localhost\n::1 localhost",
                vec![named("ads.test"), named("track.test")],
            ),
            (
                "# comment\n\n198.51.100.7\n198.51.100.8:443",
                vec![address("198.51.100.7"), address("198.51.100.8")],
            ),
            // Feodo Tracker, SSLBL (addresses, JA3), URLhaus, ThreatFox.
            (
                "\"2022-06-04 21:24:53\",\"198.51.100.9\",\"8080\",\"offline\",\"2026-01-01\",\"Emotet\"",
                vec![address("198.51.100.9")],
            ),
            ("2026-01-01 10:00:00,198.51.100.10,443", vec![address("198.51.100.10")]),
            (
                "b386946a5a44d1ddcc843bc75336dfce,2017-07-14 18:08:15,2019-07-27 20:42:54,Dridex",
                vec![Indicator::Fingerprint("b386946a5a44d1ddcc843bc75336dfce".into())],
            ),
            (
                "\"3\",\"2026-01-01 10:00:00\",\"http://Evil.test:80/a/B.exe?x#y\",\"online\",\"x\",\"https://urlhaus.abuse.ch/url/3/\"",
                vec![Indicator::Url("evil.test/a/B.exe?x".into())],
            ),
            (
                "\"2026-01-01 10:00:00\", \"12\", \"evil.test\", \"domain\", \"win.x_y\"",
                vec![named("evil.test")],
            ),
            (
                "t12d190800_d83cc789557e_7af1ed941c26",
                vec![Indicator::Fingerprint("t12d190800_d83cc789557e_7af1ed941c26".into())],
            ),
            ("http://u:p@198.51.100.1:8080", vec![Indicator::Url("198.51.100.1:8080/".into())]),
            ("198.51.100.0/30", vec![Indicator::Addresses(0xc633_6400, 0xc633_6403)]),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        let [Indicator::Ipv6(octets)] = of("2001:db8::1")[..] else { panic!("an address") };
        assert_eq!((octets[0], octets[15]), (0x20, 1));
    }

    #[test]
    fn what_is_no_indicator_is_counted_with_its_line() {
        let list = lines("good.test\nlocalhost\n10.0.0.0/8\n2001:db8::/32\nhttps://a.test/x\n1234\na b c\n");
        assert_eq!(list.entries, [named("good.test")]);
        assert_eq!(list.refused[NONE], (3, 2, "localhost".to_owned()));
        assert_eq!(list.refused.len(), 4, "{:?}", list.refused);
    }

    #[test]
    fn what_is_never_malicious_is_allowed_with_what_it_lies_below() {
        let allowed = Allowed::built_in();
        for text in ["google.com", "www.google.com", "com.au", "192.168.7.7", "8.8.8.8", "10.0.0.255"] {
            assert!(allowed.holds(&of(text)[0]), "{text}");
        }
        for text in ["evil.github.io", "notgoogle.com", "198.51.100.7", "http://google.com/x"] {
            assert!(!allowed.holds(&of(text)[0]), "{text}");
        }
    }
}
