//! Logistic regression over pairs of characters, trained by stochastic gradient descent, and its rounding to eight bits.
//!
//! The features are those of `sentinel_detect::dga`: pairs of neighbours, pairs with one character between them, and the length.
//! One name in ten is held out; the bias is set so that one benign name in 200 of these is called malicious.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use sentinel_detect::dga::{self, TABLE_LEN};

use crate::families::{self, Random};

/// Passes over the names.
const EPOCHS: usize = 12;
/// Weight in the table for one nat.
const SCALE: f32 = 16.0;
/// Shrinking of weights in each step that touches them.
const DECAY: f32 = 2e-6;
/// Benign names held out that may be called malicious, in a thousand.
const FALSE_PER_MILLE: usize = 5;

/// A word is met in so many names.
const MIN_WORD_NAMES: usize = 4;

/// Trains the table and writes it.
pub(crate) fn train(benign: &BTreeSet<(String, String)>, output: &Path) -> Result<()> {
    let mut random = Random(0x5e17_1e1d);
    let malicious = families::labels(benign.len(), &words(benign), &mut random);
    let mut samples: Vec<(Vec<usize>, bool)> = benign
        .iter()
        .map(|label| (label, false))
        .chain(malicious.iter().map(|label| (label, true)))
        .map(|((label, top), is_malicious)| (features(label, top), is_malicious))
        .collect();
    for index in (1..samples.len()).rev() {
        samples.swap(index, random.below(index + 1));
    }
    let (held_out, trained) = samples.split_at(samples.len() / 10);
    let weights = descend(trained);
    let mut table: Vec<i8> = weights.iter().map(|weight| round(*weight)).collect();
    let threshold = threshold(&table, held_out);
    println!("{} benign labels, {} malicious, threshold {threshold}", benign.len(), malicious.len());
    table.extend(i16::try_from(threshold).context("the threshold")?.to_be_bytes().map(u8::cast_signed));
    let bytes: Vec<u8> = table.iter().map(|weight| weight.cast_unsigned()).collect();
    std::fs::write(output, bytes).with_context(|| format!("{} cannot be written", output.display()))
}

/// Words between hyphens that several names have.
fn words(benign: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut counts = BTreeMap::new();
    for (label, _) in benign.iter().filter(|(label, _)| label.contains('-')) {
        for word in label.split('-') {
            if (4..=10).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase()) {
                *counts.entry(word.to_owned()).or_insert(0) += 1;
            }
        }
    }
    counts.into_iter().filter(|(_, count)| *count >= MIN_WORD_NAMES).map(|(word, _)| word).collect()
}

fn features(label: &str, top: &str) -> Vec<usize> {
    let mut found = Vec::new();
    dga::features(label.as_bytes(), top.as_bytes(), &mut |index| found.push(index));
    found
}

fn descend(samples: &[(Vec<usize>, bool)]) -> Vec<f32> {
    let mut weights = vec![0.0_f32; TABLE_LEN];
    for epoch in 0..EPOCHS {
        #[expect(clippy::as_conversions, reason = "a small number")]
        let rate = 0.08 / (1.0 + epoch as f32);
        for (features, is_malicious) in samples {
            let sum: f32 = features.iter().filter_map(|index| weights.get(*index)).sum();
            let wanted = if *is_malicious { 1.0 } else { 0.0 };
            let step = rate * (wanted - 1.0 / (1.0 + (-sum).exp()));
            for index in features {
                if let Some(weight) = weights.get_mut(*index) {
                    *weight += step - DECAY * *weight;
                }
            }
        }
    }
    weights
}

#[expect(clippy::as_conversions, reason = "clamped to the range of eight bits")]
fn round(weight: f32) -> i8 {
    (weight * SCALE).round().clamp(-127.0, 127.0) as i8
}

fn score(table: &[i8], features: &[usize]) -> i32 {
    features.iter().filter_map(|index| table.get(*index)).map(|weight| i32::from(*weight)).sum()
}

/// The score that one benign name in 200 exceeds.
fn threshold(table: &[i8], held_out: &[(Vec<usize>, bool)]) -> i32 {
    let benign = held_out.iter().filter(|(_, is_malicious)| !is_malicious);
    let mut scores: Vec<i32> = benign.map(|(features, _)| score(table, features)).collect();
    scores.sort_unstable_by(|a, b| b.cmp(a));
    scores.get(scores.len() * FALSE_PER_MILLE / 1_000).copied().unwrap_or_default() + 1
}
