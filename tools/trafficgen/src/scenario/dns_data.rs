//! DNS tunnels that hide from tests of single names, and ordinary look-ups whose names carry data.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::packet::{Family, Path};
use crate::{Connection, Packets, Random, Timeline, udp_exchange};

const FIRES: &[Expected] = &[("dns_tunnel", "bytes_leaked")];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires(
        "dns-leak-short-names",
        "names of 49 characters that encode 2 kB under one domain",
        FIRES,
        |p| {
            play(p, |lookup, random| {
                (0..80).for_each(|_| lookup.name(&format!("{}.t.example.net", random.base32(35))));
            })
        },
    ),
    Scenario::fires(
        "dns-leak-case",
        "the same in capitals and small letters, from a resolver that varies them",
        FIRES,
        |p| {
            play(p, |lookup, random| {
                (0..80).for_each(|_| {
                    lookup.name(&format!("{}.T.eXample.NET", random.base32(35).to_uppercase()));
                });
            })
        },
    ),
    Scenario::fires("dns-leak-slow", "a name of 33 characters every 27 s, 0.76 B/s", FIRES, |p| {
        play(p, |lookup, random| {
            for _ in 0..150 {
                lookup.name(&format!("{}.t.example.net", random.base32(33)));
                lookup.timeline.wait(Duration::from_secs(27));
            }
        })
    }),
    Scenario::fires(
        "dns-leak-answers",
        "one name, asked again and again, with another text in each answer",
        FIRES,
        |p| {
            play(p, |lookup, random| {
                for _ in 0..40 {
                    let text = Answer::Txt(random.base32(120).into_bytes());
                    lookup.exchange("poll.t.example.net", record::TXT, &[text]);
                }
            })
        },
    ),
    Scenario::fires("dns-leak-addresses", "data in IPv6 addresses, eight in each answer", FIRES, |p| {
        play(p, |lookup, random| {
            for index in 0..30 {
                let mut address = || {
                    Answer::Aaaa(Ipv6Addr::from_bits(
                        u128::from(random.bits()) << 64 | u128::from(random.bits()),
                    ))
                };
                let addresses: Vec<Answer> = (0..8).map(|_| address()).collect();
                lookup.exchange(&format!("{index}.t.example.net"), record::AAAA, &addresses);
            }
        })
    }),
    Scenario::fires("dns-leak-reverse", "data in the nibbles of reverse names of one network", FIRES, |p| {
        play(p, |lookup, random| {
            for _ in 0..160 {
                let digits =
                    format!("{:024x}20010db8", u128::from(random.bits()) << 32 | u128::from(random.word()));
                lookup.reverse(&digits.chars().map(|digit| format!("{digit}.")).collect::<String>());
            }
        })
    }),
    Scenario::fires("dns-leak-port", "queries to a server on port 5300", FIRES, |p| {
        play(p, |lookup, random| {
            lookup.port = 5_300;
            (0..80).for_each(|_| lookup.name(&format!("{}.t.example.net", random.base32(35))));
        })
    }),
    Scenario::fires("dns-leak-response-bit", "queries that say they are responses", FIRES, |p| {
        play(p, |lookup, random| {
            for _ in 0..80 {
                let name = format!("{}.t.example.net", random.base32(35));
                let message = dns::response(random.half(), &name, record::A, &[]);
                lookup.timeline.push(lookup.path.udp(random.ephemeral_port(), dns::PORT, &message));
                lookup.timeline.wait(MILLISECOND * 50);
            }
        })
    }),
    Scenario::fires("dns-leak-stream", "names of 49 characters over TCP", FIRES, |p| {
        play(p, |lookup, random| {
            for _ in 0..80 {
                let name = format!("{}.t.example.net", random.base32(35));
                let mut connection = Connection::new(lookup.path.clone(), dns::PORT, MILLISECOND, random);
                let query = dns::over_stream(&dns::query(random.half(), &name, record::A));
                let response = dns::over_stream(&dns::response(random.half(), &name, record::A, &[]));
                connection.exchange(&mut lookup.timeline, &query, &response);
                connection.close(&mut lookup.timeline);
            }
        })
    }),
    Scenario::fires("dns-leak-spread", "names of 49 characters under 12 domains in turn", FIRES, |p| {
        play(p, |lookup, random| {
            (0..320).for_each(|index| {
                lookup.name(&format!("{}.t.example{:02}.net", random.base32(33), index % 12));
            });
        })
    }),
    Scenario::silent("dns-ordinary-names", "names and answers of ordinary life that carry data", ordinary),
];

/// One client and one server.
struct Lookup {
    timeline: Timeline,
    path: Path,
    port: u16,
    random: Random,
    address: Ipv4Addr,
}

impl Lookup {
    fn exchange(&mut self, name: &str, kind: u16, answers: &[Answer]) {
        let (port, identifier) = (self.random.ephemeral_port(), self.random.half());
        let query = dns::query(identifier, name, kind);
        let response = dns::response(identifier, name, kind, answers);
        udp_exchange(
            &mut self.timeline,
            &self.path,
            (port, self.port),
            MILLISECOND * 12,
            (&query, &response),
        );
        self.timeline.wait(MILLISECOND * 40);
    }

    fn name(&mut self, name: &str) {
        self.exchange(name, record::A, &[Answer::A(self.address)]);
    }

    fn reverse(&mut self, labels: &str) {
        self.exchange(&format!("{labels}ip6.arpa"), record::PTR, &[]);
    }
}

fn play(parameters: &Parameters, record: impl FnOnce(&mut Lookup, &mut Random)) -> Packets {
    let topology = &parameters.topology;
    let mut lookup = Lookup {
        timeline: Timeline::default(),
        path: Path::between(&topology.client, &topology.gateway, Family::V4),
        port: dns::PORT,
        random: parameters.random(),
        address: topology.outside.v4,
    };
    record(&mut lookup, &mut Random::new(parameters.seed ^ 0x646e_7300));
    lookup.timeline.play()
}

/// An hour of a household: content networks, hashes of files, block lists, keys of mail servers, reverse look-ups, telemetry.
fn ordinary(parameters: &Parameters) -> Packets {
    play(parameters, |lookup, random| {
        for index in 0..60_u32 {
            lookup.name(&format!("r{}---sn-{}.googlevideo.com", index % 8, random.base32(8)));
            lookup.name(&format!("e{}.dscb.akamaiedge.net", 1_000 + index));
            lookup.name(&format!("{}.avqs.mcafee.com", random.base32(26)));
            let octets = random.word().to_be_bytes().map(|octet| format!("{octet}.")).concat();
            lookup.name(&format!("{octets}zen.spamhaus.org"));
            lookup.exchange(
                &format!("{octets}in-addr.arpa"),
                record::PTR,
                &[Answer::Ptr(format!("host{index}.example.net"))],
            );
            lookup.timeline.wait(Duration::from_secs(60));
        }
        for index in 0..12 {
            lookup.name(&format!("{}.device.telemetry.example", random.base32(24)));
            let host = parameters.topology.external(index).v6;
            let digits: String =
                format!("{:032x}", host.to_bits()).chars().rev().map(|digit| format!("{digit}.")).collect();
            lookup.reverse(&digits);
            let key = Answer::Txt(random.base32(250).into_bytes());
            lookup.exchange(&format!("s1._domainkey.mail{index}.example"), record::TXT, &[key]);
        }
    })
}
