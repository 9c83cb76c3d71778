//! Names that malware makes to find its server, and names that merely do not exist.

use std::time::Duration;

use super::{Expected, MILLISECOND, Parameters, Scenario};
use crate::application::dns::{self, Answer, record};
use crate::packet::{Family, Path};
use crate::{Packets, Random, Timeline, udp_exchange};

const FIRES: &[Expected] = &[("dga", "host")];
const FIRES_TWICE: &[Expected] = &[("dga", "host"), ("dga", "name")];

const WORDS: [&str; 12] = [
    "green", "table", "river", "window", "paper", "simple", "carbon", "little", "market", "silver", "garden",
    "winter",
];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario::fires("dga-letters", "30 names of 20 random letters, of which one exists", FIRES_TWICE, |p| {
        names(p, 1, |_, random| letters(random, "abcdefghijklmnopqrstuvwxyz", 20))
    }),
    Scenario::fires("dga-letters-existing", "the same if all names exist", FIRES_TWICE, |p| {
        names(p, 30, |_, random| letters(random, "abcdefghijklmnopqrstuvwxy", 20))
    }),
    Scenario::fires("dga-digits", "30 names of 24 random letters and digits", FIRES_TWICE, |p| {
        names(p, 0, |_, random| letters(random, "abcdefghijklmnopqrstuvwxyz0123456789", 24))
    }),
    Scenario::fires("dga-hexadecimal", "30 names of 32 hexadecimal digits", FIRES_TWICE, |p| {
        names(p, 0, |_, random| letters(random, "0123456789abcdef", 32))
    }),
    Scenario::fires("dga-consonants", "30 names of 16 consonants", FIRES_TWICE, |p| {
        names(p, 0, |_, random| letters(random, "bcdfghjklmnpqrstvwxz", 16))
    }),
    Scenario::fires("dga-words", "30 names of two words, none of which exists", FIRES, |p| {
        names(p, 0, |index, _| word_pair(index))
    }),
    Scenario::silent("dga-mistyped", "a name that does not exist every 20 s", |p| {
        play(p, |lookup, _| {
            for index in 0..12 {
                lookup.ask(&format!("{}.com", word_pair(index)), false);
                lookup.timeline.wait(Duration::from_secs(20));
            }
        })
    }),
    Scenario::silent(
        "dga-blocked",
        "names of advertisers that the router says do not exist, between others",
        |p| {
            play(p, |lookup, _| {
                for index in 0..30 {
                    lookup.ask(&format!("ads.{}media.com", word_pair(index)), index % 3 == 0);
                }
            })
        },
    ),
];

fn letters(random: &mut Random, alphabet: &str, length: usize) -> String {
    let characters: Vec<char> = alphabet.chars().collect();
    let mut one = || characters.get(random.length(0..characters.len())).copied().unwrap_or('x');
    (0..length).map(|_| one()).collect()
}

fn word_pair(index: usize) -> String {
    [index % WORDS.len(), index / WORDS.len() + 1]
        .map(|word| WORDS.get(word).copied().unwrap_or("x"))
        .concat()
}

/// Thirty names, 1.5 s apart; the last `existing` of them exist.
fn names(parameters: &Parameters, existing: usize, label: impl Fn(usize, &mut Random) -> String) -> Packets {
    play(parameters, |lookup, random| {
        for index in 0..30 {
            lookup.ask(&format!("{}.net", label(index, random)), index + existing >= 30);
            lookup.timeline.wait(MILLISECOND * 1_500);
        }
    })
}

/// One client and its resolver.
struct Lookup {
    timeline: Timeline,
    path: Path,
    random: Random,
    answer: Answer,
}

impl Lookup {
    /// Records a query, and the address or that there is no such name.
    fn ask(&mut self, name: &str, exists: bool) {
        let (port, identifier) = (self.random.ephemeral_port(), self.random.half());
        let query = dns::query(identifier, name, record::A);
        let answers = if exists { std::slice::from_ref(&self.answer) } else { &[] };
        let mut response = dns::response(identifier, name, record::A, answers);
        if let (false, Some(flags)) = (exists, response.get_mut(3)) {
            *flags |= 3;
        }
        udp_exchange(
            &mut self.timeline,
            &self.path,
            (port, dns::PORT),
            MILLISECOND * 12,
            (&query, &response),
        );
        self.timeline.wait(MILLISECOND * 40);
    }
}

fn play(parameters: &Parameters, record: impl FnOnce(&mut Lookup, &mut Random)) -> Packets {
    let topology = &parameters.topology;
    let mut lookup = Lookup {
        timeline: Timeline::default(),
        path: Path::between(&topology.client, &topology.gateway, Family::V4),
        random: parameters.random(),
        answer: Answer::A(topology.outside.v4),
    };
    record(&mut lookup, &mut Random::new(parameters.seed ^ 0x0064_6761));
    lookup.timeline.play()
}
