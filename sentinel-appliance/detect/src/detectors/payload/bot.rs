//! `bot`: requests of programs, by the user agent, and by what all browsers send.
//!
//! Read first: RFC 9110 section 10.1.5 (user agent), sections 12.5.3 and 12.5.4 (the headers that browsers send);
//! <https://github.com/monperrus/crawler-user-agents> (words that programs have in common).
//!
//! The first request of each HTTP connection that is [watched](super::watch) is read. A user agent is that of a program by a word in it, or by
//! the address of a page about itself, as crawlers give it. Libraries and crawlers are ordinary: `info`, once a day for each host. The names of
//! attack tools are `low` from outside, where they knock at every open port, and the severity of the setting from the inside network. A user
//! agent proves nothing: whoever wants to hide takes that of a browser. Many programs that do so leave out `Accept-Language` and
//! `Accept-Encoding`, which every browser sends: that is told once a day of a host that does it at several servers, `low`, because
//! connectivity checks do it at one or two.
//!
//! State: [`OncePerDay`], 776 bytes. Of 28 bits each stands for several servers, so that the number of servers is rather too low than too high.
//!
//! Not seen: requests inside TLS, HTTP/2 and QUIC; requests behind the first of a connection; user agents behind the first segment.

use sentinel_alert::{Evidence, Kind, Severity, ShortName, Subject, Test};
use sentinel_dissect::http::Request;

use crate::incident::{Finding, Findings};
use crate::registry::{Detector, DetectorConfig, thresholds};
use crate::shared::event::Event;
use crate::shared::once::OncePerDay;
use crate::shared::rate::Activation;

thresholds! {
    /// Thresholds of `bot`.
    Thresholds {
        servers: "servers", default 6, 2 to 20, "servers that a host asks in the name of a browser, without the headers of one, in a day";
    }
}

/// Bit of [`OncePerDay`] of the behaviour, behind those of the classes; the bits from [`FIRST_SERVER`] on are servers.
const BEHAVIOUR: u32 = 3;
const FIRST_SERVER: u32 = 4;
/// Bytes of a user agent that are read.
const MAX_AGENT: usize = 256;
/// Beginning of the user agents of browsers.
const BROWSER: &[u8] = b"Mozilla/5.0 (";

/// Class of a program by its user agent, a bit of [`OncePerDay`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Class {
    Library,
    Crawler,
    AttackTool,
}

/// Words of user agents in lower case: attack tools, crawlers and libraries.
const ATTACK_TOOLS: &str = "sqlmap|nikto|nmap|masscan|zgrab|nuclei|openvas|gobuster|dirbuster|wpscan|acunetix|nessus|ffuf|feroxbuster|arachni|\
     w3af|havij|wfuzz|skipfish|netsparker|metasploit|hydra|zmeu|jorgee|morfeus|whatweb";
const CRAWLERS: &str = "crawl|spider|slurp|scrap|archiv|+http|https://|http://|(compatible; |monitor|uptime|check|valid|scan|fetch|feed|index|\
     preview|headless|lighthouse|synthetic|httrack|inspection|google-|sitemap|webhook|selenium|playwright|www.|@";
const LIBRARIES: &str = "curl/|wget|python|urllib|aiohttp|httpx|libwww|lwp::|httpclient|http-client|http_client|http_request|okhttp|axios|\
     node-fetch|guzzle|php/|perl|ruby|faraday|winhttp|powershell|reqwest|httpie|postman|insomnia|restsharp|go-resty|go-http|ahc/|java/";
/// The words, each behind its length.
static WORDS: [&[u8]; 3] = [
    &counted::<{ ATTACK_TOOLS.len() + 1 }>(ATTACK_TOOLS.as_bytes()),
    &counted::<{ CRAWLERS.len() + 1 }>(CRAWLERS.as_bytes()),
    &counted::<{ LIBRARIES.len() + 1 }>(LIBRARIES.as_bytes()),
];

/// Puts the length of the next word for each bar, and that of the first in front.
#[expect(clippy::indexing_slicing, reason = "runs while the program is built")]
const fn counted<const LEN: usize>(words: &[u8]) -> [u8; LEN] {
    let mut counted = [0; LEN];
    let (mut at, mut length_at) = (0, 0);
    while at < words.len() {
        if words[at] == b'|' {
            length_at = at + 1;
        } else {
            counted[at + 1] = words[at];
            counted[length_at] += 1;
        }
        at += 1;
    }
    counted
}

/// Detector of requests of programs; [`Detectors`](crate::detectors::Detectors) shows it the first payload of connections.
#[derive(Debug)]
pub(crate) struct Bot {
    told: OncePerDay,
    thresholds: Thresholds,
    activation: Activation,
}

impl Bot {
    pub(crate) const DETECTOR: Detector = Detector {
        kind: Kind::Bot,
        about: "a request names a library, a crawler (info, told once a day) or an attack tool as its user agent; or requests to several \
                servers name a browser without the headers that browsers send (low)",
        source: "RFC 9110 sections 10.1.5, 12.5.3 and 12.5.4; words: common libraries and tools, and the list of crawler-user-agents",
        severity: Severity::Medium,
        thresholds: Thresholds::SETTINGS,
        ports: None,
    };

    pub(crate) fn new(config: &DetectorConfig) -> Self {
        Self { told: OncePerDay::default(), thresholds: config.into(), activation: config.into() }
    }

    pub(crate) fn configure(&mut self, config: &DetectorConfig) {
        (self.thresholds, self.activation) = (config.into(), config.into());
    }

    pub(crate) const fn evictions(&self) -> u64 {
        self.told.evictions()
    }

    /// Takes the first payload of a client.
    #[cold] // once in a connection that is watched
    pub(crate) fn request(&mut self, event: &Event<'_, '_>, findings: &mut Findings<'_, '_>) {
        if !self.activation.enabled {
            return;
        }
        let Ok(request) = Request::parse(event.packet.payload()) else { return };
        let Some(agent) = request.user_agent() else { return };
        let agent = agent.get(..MAX_AGENT).unwrap_or(agent);
        if let Some((class, word)) = classify(agent) {
            self.program(event, class, word, findings);
        } else if agent.starts_with(BROWSER)
            && request.head.malformed.is_none()
            && request.head.value("accept-language").is_none()
            && request.head.value("accept-encoding").is_none()
        {
            self.behaviour(event, agent, findings);
        }
    }

    fn program(&mut self, event: &Event<'_, '_>, class: Class, word: &[u8], findings: &mut Findings<'_, '_>) {
        #[expect(clippy::as_conversions, reason = "the number of a class")]
        let bit = class as u32;
        if class != Class::AttackTool && !self.told.is_first(event.source_hash, bit, event.setting.now) {
            return;
        }
        let severity = if class != Class::AttackTool {
            self.activation.severity.min(Severity::Info)
        } else if event.setting.home_net.is_internal(event.packet.tuple.source) {
            self.activation.severity
        } else {
            self.activation.ordinary(Self::DETECTOR.severity)
        };
        self.report(event, Test::BotUserAgent, severity, word, findings);
    }

    fn behaviour(&mut self, event: &Event<'_, '_>, agent: &[u8], findings: &mut Findings<'_, '_>) {
        let (host, now) = (event.source_hash, event.setting.now);
        if !event.setting.home_net.is_internal(event.packet.tuple.source) {
            return;
        }
        let server = event.setting.key.address(event.packet.tuple.destination);
        let is_new = self.told.is_first(host, FIRST_SERVER + server % (32 - FIRST_SERVER), now);
        let servers = self.told.count(host, now, !0 << FIRST_SERVER);
        if is_new && servers >= self.thresholds.servers && self.told.is_first(host, BEHAVIOUR, now) {
            let severity = self.activation.ordinary(Self::DETECTOR.severity);
            self.report(event, Test::BotBehaviour, severity, agent, findings);
        }
    }

    fn report(
        &self,
        event: &Event<'_, '_>,
        test: Test,
        severity: Severity,
        agent: &[u8],
        findings: &mut Findings<'_, '_>,
    ) {
        let tuple = &event.packet.tuple;
        let mut what = ShortName::new();
        for byte in agent.iter().take(what.capacity()) {
            let _fits_by_take = what.push(if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' });
        }
        // Several servers: none is named.
        let is_one = test == Test::BotUserAgent;
        findings.add(&Finding {
            test,
            severity,
            first: event.setting.now,
            subject: Subject {
                source: Some(tuple.source),
                destination: is_one.then_some(tuple.destination),
                destination_port: is_one.then_some(tuple.destination_port),
                mac: event.packet.sender_mac(),
                ..Subject::default()
            },
            evidence: Evidence::Observed { count: 1, what },
            adds: 1,
            scope: u32::from(severity > Severity::Info),
        });
    }
}

/// User agent in lower case, and the pairs of bytes in it as a set of hashes: nearly all words are found to be absent by their first pairs.
struct Agent {
    folded: [u8; MAX_AGENT],
    len: usize,
    pairs: [u32; 8],
}

impl Agent {
    fn new(agent: &[u8]) -> Self {
        let mut this = Self { folded: [0; MAX_AGENT], len: agent.len().min(MAX_AGENT), pairs: [0; 8] };
        let mut before = 0;
        for (folded, byte) in this.folded.iter_mut().zip(agent) {
            *folded = byte.to_ascii_lowercase();
            let (index, bit) = Self::pair(before, *folded);
            if let Some(pairs) = this.pairs.get_mut(index) {
                *pairs |= bit;
            }
            before = *folded;
        }
        this
    }

    /// Index and bit of two bytes that follow each other.
    fn pair(first: u8, second: u8) -> (usize, u32) {
        (usize::from(first & 7), 1 << ((second ^ first >> 2) & 31))
    }

    /// First position of a word in lower case, from a position on.
    fn find(&self, word: &[u8], from: usize) -> Option<usize> {
        let may_hold = word.iter().zip(word.iter().skip(1)).all(|(first, second)| {
            let (index, bit) = Self::pair(*first, *second);
            self.pairs.get(index).is_some_and(|pairs| pairs & bit != 0)
        });
        let text = self.folded.get(from..self.len).filter(|_| may_hold)?;
        text.windows(word.len()).position(|window| window == word).map(|at| from + at)
    }

    /// Position of `bot` at the end of a word, but for that of a phone maker.
    fn robot(&self) -> Option<usize> {
        let mut from = 0;
        while let Some(at) = self.find(b"bot", from) {
            let behind = self.folded.get(at + 3).copied().unwrap_or(b' ');
            let before = at.checked_sub(2).and_then(|before| self.folded.get(before..at));
            if before != Some(b"cu") && (!behind.is_ascii_lowercase() || behind == b's') {
                return Some(at);
            }
            from = at + 3;
        }
        None
    }

    /// First word of a list that is in it, with its position.
    fn first_of(&self, words: &'static [u8]) -> Option<(&'static [u8], usize)> {
        let mut rest = words;
        while let Some((len, behind)) = rest.split_first() {
            let (word, next) = behind.split_at_checked(usize::from(*len))?;
            if let Some(at) = self.find(word, 0)
                && !(word.starts_with(b"(") && self.find(b"msie", 0).is_some())
            {
                return Some((word, at));
            }
            rest = next;
        }
        None
    }
}

/// Class of a program, and the product of its user agent that says so; `None` for browsers and for all that says nothing.
fn classify(agent: &[u8]) -> Option<(Class, &[u8])> {
    let folded = Agent::new(agent);
    for (class, words) in [Class::AttackTool, Class::Crawler, Class::Library].into_iter().zip(WORDS) {
        // Phones have names of all kinds.
        if class == Class::Library && agent.starts_with(BROWSER) {
            return None;
        }
        if let Some((word, at)) = folded.first_of(words) {
            // Behind a word with a bracket stands the name.
            return Some((class, product(agent, if word.starts_with(b"(") { at + word.len() } else { at })));
        }
        if class == Class::AttackTool
            && let Some(at) = folded.robot()
        {
            return Some((Class::Crawler, product(agent, at)));
        }
    }
    None
}

/// The product around `at`: up to the next blank, bracket, comma or semicolon on both sides.
fn product(agent: &[u8], at: usize) -> &[u8] {
    let is_border = |byte: &u8| matches!(byte, b' ' | b'(' | b')' | b';' | b',');
    let (before, behind) = agent.split_at_checked(at).unwrap_or((agent, &[]));
    let start = before.iter().rposition(is_border).map_or(0, |border| border + 1);
    let len = behind.iter().skip(1).position(is_border).map_or(behind.len(), |len| len + 1);
    agent.get(start..at + len).unwrap_or(agent)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::detectors::payload::tests::{Client, Connection, Server, opened, sensor};
    use crate::testkit::{CLIENT, OUTSIDE, Sensor, VICTIM, alone, config_of};
    use std::format;
    use std::net::Ipv4Addr;
    use std::string::{String, ToString};
    use std::vec::Vec;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    const HEADERS: &str = "Accept: */*\r\nAccept-Language: en\r\nAccept-Encoding: gzip\r\n";

    fn request(agent: &str, headers: &str) -> String {
        format!("GET /page HTTP/1.1\r\nHost: a.test\r\nUser-Agent: {agent}\r\n{headers}\r\n")
    }

    fn ask(
        sensor: &mut Sensor,
        millis: u64,
        (client, port): (Ipv4Addr, u16),
        server: Ipv4Addr,
        request: &str,
    ) {
        let connection = Connection::new((client, port), (server, 80));
        let said = [(Client, request.as_bytes()), (Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")];
        for (at, frame) in (millis..).zip(connection.frames(&said)) {
            sensor.fast(at, &frame);
        }
    }

    fn told(client: Ipv4Addr, server: Ipv4Addr, agent: &str) -> Vec<(Severity, String)> {
        let mut sensor = sensor(Kind::Bot);
        ask(&mut sensor, 0, (client, 40_000), server, &request(agent, HEADERS));
        opened(&sensor)
    }

    #[test]
    fn programs_are_told_by_their_user_agents_and_browsers_are_not() {
        for (agent, expected) in [
            ("curl/8.5.0", "curl/8.5.0"),
            ("python-requests/2.31.0", "python-requests/2.31.0"),
            ("Apache-HttpClient/4.5 (Java/17)", "Apache-HttpClient/4.5"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Googlebot/2.1"),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; somebots) Safari/537",
                "somebots",
            ),
            ("Mozilla/5.0 (compatible; Novel 2.0)", "Novel"),
            ("PEAR HTTP_Request2/2.3.0", "HTTP_Request2/2.3.0"),
            ("Reader/1.0 (+http://reader.example/about)", "+http://reader.example/about"),
        ] {
            assert_eq!(told(CLIENT, OUTSIDE, agent), [(Severity::Info, expected.to_string())], "{agent}");
        }
        for agent in [
            FIREFOX,
            "Mozilla/5.0 (Linux; Android 8.1.0; CUBOT_P20) AppleWebKit/537.36 Chrome/91.0.4472.101 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 4.4.2; Forward Ruby) AppleWebKit/537.36 Chrome/67.0 Mobile Safari/537.36",
            "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
            "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; Caboto s.p.a.; rv:11.0) like Gecko",
            "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)",
            "",
        ] {
            assert_eq!(told(CLIENT, OUTSIDE, agent), [], "{agent}");
        }
    }

    #[test]
    fn an_attack_tool_is_a_claim_only_from_inside() {
        let agent = "sqlmap/1.7.2#stable (https://sqlmap.org)";
        let named = |severity| [(severity, "sqlmap/1.7.2#stable".to_string())];
        assert_eq!(told(CLIENT, VICTIM, agent), named(Severity::Medium));
        assert_eq!(told(OUTSIDE, VICTIM, agent), named(Severity::Low));
    }

    #[test]
    fn a_program_is_told_once_a_day_for_each_class() {
        let mut sensor = sensor(Kind::Bot);
        let day = 86_400_000;
        for (number, agent) in (0..).zip(["curl/8", "wget/1", "a bot", "curl/8", "b crawler"]) {
            ask(
                &mut sensor,
                u64::from(number) * 1_000,
                (CLIENT, 40_000 + number),
                OUTSIDE,
                &request(agent, ""),
            );
        }
        sensor.finish();
        assert_eq!(sensor.opened().len(), 1, "one incident of one source");
        ask(&mut sensor, day + 60_000, (CLIENT, 50_000), OUTSIDE, &request("curl/8", ""));
        assert_eq!(sensor.opened().len(), 2);
    }

    /// Requests in the name of Firefox with these headers to so many servers.
    fn asked(servers: u8, headers: &str) -> usize {
        let mut sensor = sensor(Kind::Bot);
        for number in 0..servers {
            let server = Ipv4Addr::new(203, 0, 113, number);
            let millis = u64::from(number) * 60_000;
            ask(
                &mut sensor,
                millis,
                (CLIENT, 40_000 + u16::from(number)),
                server,
                &request(FIREFOX, headers),
            );
        }
        sensor.opened().into_iter().filter(|test| *test == Test::BotBehaviour).count()
    }

    #[test]
    fn a_browser_without_its_headers_is_told_from_the_threshold_on() {
        assert_eq!([asked(5, ""), asked(40, ""), asked(40, HEADERS)], [0, 1, 0]);
        assert_eq!(asked(40, "Accept-Encoding: gzip\r\n"), 0, "one of them is enough");
    }

    #[test]
    fn a_head_that_is_cut_or_absent_says_nothing() {
        let mut sensor = sensor(Kind::Bot);
        for number in 0..40 {
            let server = Ipv4Addr::new(203, 0, 113, number);
            let whole = request(FIREFOX, "X: y\r\n");
            let cut = &whole[..whole.len() - 2];
            ask(&mut sensor, u64::from(number) * 60_000, (CLIENT, 40_000), server, cut);
        }
        assert_eq!(sensor.opened(), []);
    }

    #[test]
    fn a_user_agent_cannot_control_a_terminal_and_off_is_off() {
        assert_eq!(told(CLIENT, OUTSIDE, "curl/\x1b[31m\u{e4}")[0].1, "curl/?[31m??");
        let mut configs = alone(Kind::Bot);
        config_of(&mut configs, Kind::Bot).enabled = false;
        let mut sensor = Sensor::with(crate::testkit::TINY, crate::testkit::KEY, &configs);
        ask(&mut sensor, 0, (CLIENT, 40_000), OUTSIDE, &request("curl/8", ""));
        assert_eq!(sensor.opened(), []);
    }
}
