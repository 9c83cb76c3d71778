//! Table of how well scores separate malicious from benign names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use sentinel_detect::{dga, names_until_reported};

/// Families whose names are made of words or syllables of words; all others look random.
const WORD_FAMILIES: &[&str] = &[
    "banjori",
    "bigviktor",
    "darkcracks",
    "fosniw",
    "gozi",
    "matsnu",
    "ngioweb",
    "nymaim2",
    "pizd",
    "rovnix",
    "suppobox",
    "unnamed_downloader",
    "pitou",
    "symmi",
    "sisron",
    "qsnatch",
    "dmsniff",
];

/// Names within which a host should be reported.
const NAMES_OF_A_HOST: usize = 20;
/// Share of the hosts of a family that makes it a reported one.
const MOST: f64 = 0.9;

/// Prints area under the curve and the share of malicious names found at two rates of false alarms, for each family and for all.
pub(crate) fn table(list: &str, known: &BTreeSet<(String, String)>) -> String {
    let mut benign = Vec::new();
    let mut families: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    let mut left_out = 0;
    for line in list.lines().skip(1) {
        let mut fields = line.split('\t');
        let (Some(name), Some(label), Some(family)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let score = dga::score(name);
        if label == "dga" {
            families.entry(family).or_default().push(score);
        } else if known.contains(&(dga::label(name).to_owned(), dga::top(name).to_owned())) {
            left_out += 1;
        } else {
            benign.push(score);
        }
    }
    let ordinary_hosts = hosts(&benign, false);
    benign.sort_unstable();
    let mut text =
        format!("{} benign names, {left_out} left out because they were trained with\n", benign.len());
    let _ = writeln!(
        text,
        "{:<26} {:>6} {:>7} {:>9} {:>9} {:>9} {:>6} {:>9}",
        "family", "names", "AUC", "at 0.1 %", "at 1 %", "called", "host", "host, NX"
    );
    let mut row = |name: &str, scores: &[i32]| {
        let _ = writeln!(
            text,
            "{name:<26} {:>6} {:>7.4} {:>9.3} {:>9.3} {:>9.3} {:>6.2} {:>9.2}",
            scores.len(),
            area(scores, &benign),
            found(scores, at_rate(&benign, 1_000)),
            found(scores, at_rate(&benign, 100)),
            found(scores, dga::threshold()),
            hosts(scores, false),
            hosts(scores, true),
        );
    };
    for (family, scores) in &families {
        row(family, scores);
    }
    let reported = |nonexistent| {
        let whole = |scores: &&Vec<i32>| scores.len() >= NAMES_OF_A_HOST;
        families.values().filter(whole).filter(|scores| hosts(scores, nonexistent) >= MOST).count()
    };
    let (by_score, with_answers) = (reported(false), reported(true));
    let whole = families.values().filter(|scores| scores.len() >= NAMES_OF_A_HOST).count();
    let of = |is_word: Option<bool>| -> Vec<i32> {
        let chosen = families
            .iter()
            .filter(|(family, _)| is_word.is_none_or(|it| it == WORD_FAMILIES.contains(family)));
        chosen.flat_map(|(_, scores)| scores).copied().collect()
    };
    row("all that look random", &of(Some(false)));
    row("all of words", &of(Some(true)));
    row("all", &of(None));
    let _ = writeln!(
        text,
        "families of which nine hosts in ten are reported within {NAMES_OF_A_HOST} names: {by_score} of {whole} by score alone, \
         {with_answers} if none exists"
    );
    let _ = writeln!(text, "benign names called dga: {:.4}", found(&benign, dga::threshold()));
    let _ = writeln!(text, "hosts with 20 benign names that exist, reported: {ordinary_hosts:.4}");
    text
}

/// Share of hosts that are reported within their first 20 names, of which every host has others.
#[expect(clippy::as_conversions, reason = "a ratio of counts")]
fn hosts(scores: &[i32], nonexistent: bool) -> f64 {
    let hosts = scores.chunks_exact(NAMES_OF_A_HOST);
    let count = hosts.len();
    hosts.filter(|names| names_until_reported(names, nonexistent).is_some()).count() as f64
        / count.max(1) as f64
}

/// Probability that a malicious name has the greater score; ties count half. `benign` is sorted.
#[expect(clippy::as_conversions, reason = "a ratio of counts")]
fn area(scores: &[i32], benign: &[i32]) -> f64 {
    let below =
        |score: &i32| benign.partition_point(|it| it < score) + benign.partition_point(|it| it <= score);
    scores.iter().map(below).sum::<usize>() as f64 / (2 * scores.len() * benign.len()).max(1) as f64
}

/// The score that one in `rate` benign names reaches.
fn at_rate(benign: &[i32], rate: usize) -> i32 {
    benign.iter().rev().nth(benign.len() / rate).map_or(i32::MAX, |score| score + 1)
}

#[expect(clippy::as_conversions, reason = "a ratio of counts")]
fn found(scores: &[i32], threshold: i32) -> f64 {
    scores.iter().filter(|score| **score >= threshold).count() as f64 / scores.len().max(1) as f64
}
