//! Names that do not exist, that move inside, that look like others, and whose addresses change.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::packet::{Family, Path};
use crate::{Packets, Random, Timeline};

const BURST: &[Expected] = &[("nxdomain_burst", "nxdomain_burst")];
const REBINDING: &[Expected] = &[("dns_rebinding", "dns_rebinding")];
const LOOKALIKE: &[Expected] = &[("punycode_lookalike", "punycode_lookalike")];
const MIXED: &[Expected] = &[("punycode_lookalike", "mixed_scripts")];
const FLUX: &[Expected] = &[("fast_flux", "fast_flux")];

/// An address outside, one of a router and one of the same in IPv6.
const PUBLIC: Answer = Answer::A(Ipv4Addr::new(203, 0, 113, 80));
const INSIDE: Answer = Answer::A(Ipv4Addr::new(192, 168, 1, 1));
const PUBLIC_V6: Answer = Answer::Aaaa(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80));
const INSIDE_V6: Answer = Answer::Aaaa(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires("nxdomain-burst", "80 names asked for at once, of which eight exist", BURST, |p| {
        batches(p, |index| (format!("station{index}.com"), index % 10 == 9))
    }),
    Scenario::silent("nxdomain-search-list", "80 names that do not exist, all under one domain", |p| {
        batches(p, |index| (format!("printer{index}.corp.example.com"), index % 10 == 9))
    }),
    Scenario::silent("nxdomain-local", "80 names of a home network that do not exist", |p| {
        batches(p, |index| (format!("station{index}.lan"), index % 10 == 9))
    }),
    Scenario::silent(
        "nxdomain-blocked-page",
        "a page of 240 domains, of which the resolver says a third does not exist",
        |p| {
            play(p, |lookup, _| {
                for index in 0..240 {
                    lookup.ask(&format!("media{index}.net"), (index % 3 != 0).then_some(&[PUBLIC][..]));
                }
            })
        },
    ),
    Scenario::fires(
        "dns-rebinding",
        "a name with a public address has one inside ten seconds later",
        REBINDING,
        |p| moves(p, "a1.rebind.example.com", &[&[PUBLIC], &[INSIDE]]),
    ),
    Scenario::fires("dns-rebinding-ipv6", "the same with IPv6 addresses", REBINDING, |p| {
        moves(p, "a1.rebind.example.com", &[&[PUBLIC_V6], &[INSIDE_V6]])
    }),
    Scenario::fires(
        "dns-rebinding-both",
        "one answer with a public address and one inside",
        REBINDING,
        |p| moves(p, "a1.rebind.example.com", &[&[PUBLIC, INSIDE]]),
    ),
    Scenario::fires(
        "dns-portal",
        "four names with a public address have one inside when the line is down; low",
        REBINDING,
        |p| {
            play(p, |lookup, _| {
                for answer in [PUBLIC, INSIDE] {
                    for domain in ["search.com", "mail.net", "news.org", "weather.info"] {
                        lookup.ask(&format!("www.{domain}"), Some(std::slice::from_ref(&answer)));
                        lookup.timeline.wait(Duration::from_secs(2));
                    }
                }
            })
        },
    ),
    Scenario::silent("dns-internal", "a name that only ever has an address inside", |p| {
        moves(p, "192-168-1-9.0123456789abcdef.plex.direct", &[&[INSIDE], &[INSIDE], &[INSIDE]])
    }),
    Scenario::silent("dns-internal-ipv6", "a public IPv4 address and an IPv6 address inside", |p| {
        moves(p, "dns.msftncsi.com", &[&[PUBLIC], &[INSIDE_V6], &[PUBLIC], &[INSIDE_V6]])
    }),
    Scenario::fires(
        "punycode-lookalike",
        "a name of Cyrillic letters that reads like another",
        LOOKALIKE,
        |p| moves(p, "www.xn--80ak6aa92e.com", &[&[PUBLIC]]),
    ),
    Scenario::fires("punycode-mixed", "a name with letters of two alphabets", MIXED, |p| {
        moves(p, "www.xn--my-bnk-6nf.com", &[&[PUBLIC]])
    }),
    Scenario::silent("punycode-ordinary", "names of one alphabet each", |p| {
        play(p, |lookup, _| {
            for name in ["www.xn--mnchen-3ya.de", "xn--80aswg.xn--p1ai", "xn--fiqs8s.cn", "xn--hxakic4aa.gr"]
            {
                lookup.ask(name, Some(&[PUBLIC]));
            }
        })
    }),
    Scenario::fires(
        "fast-flux",
        "a name with five new addresses every minute, all over the Internet",
        FLUX,
        |p| rotates(p, "login.update.example.com", 88),
    ),
    Scenario::silent("fast-flux-cloud", "the same with addresses of six blocks, as a cloud has them", |p| {
        rotates(p, "api.example.com", 6)
    }),
    Scenario::silent("fast-flux-pool", "the same for the pool of time servers", |p| {
        rotates(p, "2.android.pool.ntp.org", 88)
    }),
];

/// Ten names at once every five seconds, eight times; and whether each exists.
fn batches(parameters: &Parameters, name: impl Fn(u16) -> (String, bool)) -> Packets {
    play(parameters, |lookup, _| {
        for batch in 0..8 {
            let names: Vec<_> = (batch * 10..batch * 10 + 10).map(&name).collect();
            let asked: Vec<_> = names.iter().map(|(name, _)| lookup.question(name, record::A)).collect();
            lookup.timeline.wait(MILLISECOND * 12);
            for ((name, exists), asked) in names.iter().zip(asked) {
                lookup.answer(name, asked, exists.then_some(&[PUBLIC][..]));
            }
            lookup.timeline.wait(Duration::from_secs(5));
        }
    })
}

/// Answers for one name, ten seconds apart.
fn moves(parameters: &Parameters, name: &str, answers: &[&[Answer]]) -> Packets {
    play(parameters, |lookup, _| {
        for answer in answers {
            lookup.ask(name, Some(answer));
            lookup.timeline.wait(Duration::from_secs(10));
        }
    })
}

/// Twenty answers for one name, a minute apart, with five addresses each in so many blocks of 8 bits.
fn rotates(parameters: &Parameters, name: &str, blocks: u32) -> Packets {
    play(parameters, |lookup, random| {
        let mut address = || {
            let [_, _, c, d] = u32::from(random.half()).to_be_bytes();
            let block = u8::try_from(11 + u32::from(random.half()) % blocks).unwrap_or(11);
            let [.., b] = random.half().to_be_bytes();
            Answer::A(Ipv4Addr::new(block, b, c, d))
        };
        for _ in 0..20 {
            let answers: Vec<_> = (0..5).map(|_| address()).collect();
            lookup.ask(name, Some(&answers));
            lookup.timeline.wait(Duration::from_secs(60));
        }
    })
}

/// One client and its resolver.
struct Lookup {
    timeline: Timeline,
    path: Path,
    random: Random,
}

/// Port, number and record type of a question.
type Asked = (u16, u16, u16);

impl Lookup {
    /// Records a query, and the addresses or that there is no such name.
    fn ask(&mut self, name: &str, answers: Option<&[Answer]>) {
        let kind = if let Some([Answer::Aaaa(_), ..]) = answers { record::AAAA } else { record::A };
        let asked = self.question(name, kind);
        self.timeline.wait(MILLISECOND * 12);
        self.answer(name, asked, answers);
        self.timeline.wait(MILLISECOND * 40);
    }

    fn question(&mut self, name: &str, kind: u16) -> Asked {
        let (port, identifier) = (self.random.ephemeral_port(), self.random.half());
        self.timeline.push(self.path.udp(port, dns::PORT, &dns::query(identifier, name, kind)));
        self.timeline.wait_us(300);
        (port, identifier, kind)
    }

    fn answer(&mut self, name: &str, (port, identifier, kind): Asked, answers: Option<&[Answer]>) {
        let mut response = dns::response(identifier, name, kind, answers.unwrap_or_default());
        if let (None, Some(flags)) = (answers, response.get_mut(3)) {
            *flags |= 3;
        }
        self.timeline.push(self.path.reversed().udp(dns::PORT, port, &response));
        self.timeline.wait_us(300);
    }
}

fn play(parameters: &Parameters, record: impl FnOnce(&mut Lookup, &mut Random)) -> Packets {
    let topology = &parameters.topology;
    let mut lookup = Lookup {
        timeline: Timeline::default(),
        path: Path::between(&topology.client, &topology.gateway, Family::V4),
        random: parameters.random(),
    };
    record(&mut lookup, &mut Random::new(parameters.seed ^ 0x6c6f_6f6b));
    lookup.timeline.play()
}
