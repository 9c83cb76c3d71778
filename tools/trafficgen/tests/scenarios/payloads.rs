//! Reference for what first payloads show: the bytes of both sides joined, read by the words of the protocols.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Addresses and ports of sender and receiver.
type Direction = ((IpAddr, IpAddr), (u16, u16));

#[derive(Default)]
pub(crate) struct Payloads {
    streams: BTreeMap<Direction, String>,
    /// By who asks and who is asked.
    echoes: BTreeMap<(IpAddr, IpAddr), Echoes>,
}

#[derive(Default)]
struct Echoes {
    /// Data by identifier and sequence number.
    requests: BTreeMap<[u8; 4], Vec<u8>>,
    last: Option<Vec<u8>>,
    changes: u32,
    wrong: BTreeSet<Vec<u8>>,
}

impl Payloads {
    pub(crate) fn echo(&mut self, (from, to): (IpAddr, IpAddr), is_request: bool, message: &[u8]) {
        let (number, data) = message.split_first_chunk().unwrap();
        if is_request {
            let pair = self.echoes.entry((from, to)).or_default();
            pair.requests.insert(*number, data.to_vec());
            // Behind what ping programs fill with times.
            if let Some(next) = data.get(40..48).map(<[u8]>::to_vec) {
                pair.changes += u32::from(pair.last.replace(next.clone()).is_some_and(|last| last != next));
            }
        } else if let Some(pair) = self.echoes.get_mut(&(to, from))
            && let Some(asked) = pair.requests.get(number)
            && !asked.starts_with(data)
        {
            pair.wrong.insert(data.to_vec());
        }
    }

    pub(crate) fn segment(&mut self, ends: (IpAddr, IpAddr), ports: (u16, u16), payload: &[u8]) {
        // A byte is a letter, so that offsets stay.
        let text = payload.iter().take(4_096).map(|byte| char::from(*byte));
        self.streams.entry((ends, ports)).or_default().extend(text);
    }

    pub(crate) fn raised(&self) -> BTreeSet<&'static str> {
        let is_credentials = self.streams.iter().any(|((ends, ports), client)| {
            let server = self.streams.get(&((ends.1, ends.0), (ports.1, ports.0)));
            sends_password(&client.to_lowercase(), &server.cloned().unwrap_or_default().to_lowercase())
        });
        let is_poor = self.streams.iter().any(|((ends, ports), stream)| {
            let client = self.streams.get(&((ends.1, ends.0), (ports.1, ports.0)));
            let is_inside = super::oracle::is_internal(ends.0);
            is_poor(stream, is_inside)
                || !is_inside && client.is_some_and(|client| is_of_other(stream, client))
        });
        let is_tunnel = self.echoes.values().any(|pair| pair.wrong.len() >= 5 || pair.changes >= 30);
        let is_foreign = self
            .streams
            .iter()
            .any(|((_, (port, _)), stream)| [53, 80, 443].contains(port) && stream.starts_with("SSH-"));
        let kinds = [
            ("cleartext_credentials", is_credentials),
            ("tls_risk", is_poor),
            ("icmp_tunnel", is_tunnel),
            ("bot", self.is_bot()),
            ("protocol_anomaly", is_foreign),
        ];
        kinds.into_iter().filter(|(_, is_raised)| *is_raised).map(|(kind, _)| kind).collect()
    }
}

impl Payloads {
    /// Returns true if a client is a program by its user agent, or asks six servers and more like no browser.
    fn is_bot(&self) -> bool {
        let mut servers: BTreeMap<IpAddr, BTreeSet<IpAddr>> = BTreeMap::new();
        for (((client, server), _), stream) in &self.streams {
            let text = stream.to_lowercase();
            let Some((_, agent)) = text.split_once("\r\nuser-agent: ") else { continue };
            let agent = agent.lines().next().unwrap_or_default();
            if ["curl/", "python-", "somebot/", "sqlmap/"].iter().any(|word| agent.contains(word)) {
                return true;
            }
            if agent.starts_with("mozilla/5.0 (") && !text.contains("\r\naccept-language:") {
                servers.entry(*client).or_default().insert(*server);
            }
        }
        servers.values().any(|servers| servers.len() >= 6)
    }
}

/// Returns true if a server starts with a hello of poor TLS. A byte is a letter.
fn is_poor(stream: &str, is_inside: bool) -> bool {
    let bytes: Vec<u8> = stream.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    let [22, 3, _, _, _, 2, _, _, _, 3, minor, ..] = bytes[..] else { return false };
    let suite = 44 + usize::from(bytes[43]);
    let is_weak = [[0, 5], [0, 10]].contains(&[bytes[suite], bytes[suite + 1]]);
    let after = |marker: &[u8], len: usize| -> Vec<Vec<u8>> {
        let found = bytes.windows(marker.len()).enumerate().filter(|(_, window)| *window == marker);
        found
            .filter_map(|(at, _)| bytes.get(at + marker.len()..at + marker.len() + len))
            .map(<[u8]>::to_vec)
            .collect()
    };
    // From TLS 1.3 on everything behind the hello is encrypted.
    let certificate = 9 + usize::from(u16::from_be_bytes([bytes[7], bytes[8]]));
    if bytes.get(certificate) != Some(&11) {
        return minor < 3 || is_weak;
    }
    // Common names have lengths of one byte here, and times that of a `UTCTime`.
    let names = after(&[6, 3, 0x55, 4, 3, 0x0c], 12);
    let times = after(&[0x17, 13], 13);
    let is_self_signed = names.len() == 2 && names[0] == names[1] && !is_inside;
    minor < 3 || is_weak || is_self_signed || times.get(1).is_some_and(|end| end.as_slice() < &b"230101"[..])
}

/// Returns true if the holder of a certificate, whose common name has twenty letters at most here, is not whom the client asked for.
fn is_of_other(server: &str, client: &str) -> bool {
    let marker = "\u{6}\u{3}\u{55}\u{4}\u{3}\u{c}";
    let holder = server.split(marker).nth(2).and_then(|rest| {
        let mut letters = rest.chars();
        let len = usize::try_from(u32::from(letters.next()?)).ok()?;
        Some(letters.take(len).collect::<String>())
    });
    server.starts_with("\u{16}\u{3}") && holder.is_some_and(|holder| !client.contains(&holder))
}

/// Returns true if a client sends a password that the protocol of its server does not hide.
fn sends_password(client: &str, server: &str) -> bool {
    let is_anonymous = client.contains("user anonymous\r\n");
    let has = |line: &str| client.starts_with(line) || client.contains(&format!("\n{line}"));
    match server.chars().take(3).collect::<String>().as_str() {
        "220" | "+ok" => has("pass ") && !is_anonymous || has("auth login\r\n"),
        "* o" => client.contains(" login "),
        "\u{ff}\u{fd}\u{18}" => server.contains("password: ") && client.ends_with("se"),
        _ => has("authorization: basic "),
    }
}
