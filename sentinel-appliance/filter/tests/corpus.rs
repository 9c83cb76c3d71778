//! Every expression of the filter corpus selects exactly the frames that tcpdump selects.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::tests_outside_test_module,
    reason = "a test that prints what it compared"
)]

mod bpf;

use std::collections::BTreeMap;

use bpf::{Capture, captures, corpus, is_supported, tcpdump};
use sentinel_filter::{ExpressionErrorReason, compile};
use sentinel_units::LinkType;
use sha2::{Digest, Sha256};

const SNAP_BYTES: u32 = 262_144;

fn hash(frames: &[u32]) -> String {
    let joined = frames.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    Sha256::digest(joined).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn table(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("filter_id"))
        .map(|line| line.split('\t').collect())
}

#[test]
fn selects_what_tcpdump_selects() {
    let Some(corpus) = corpus() else { return println!("skipped: no corpus (set SENTINEL_CORPUS)") };
    let read = |name: &str| std::fs::read_to_string(corpus.join(name)).unwrap();
    let filters = read("filters.txt");
    let filters: BTreeMap<&str, &str> = table(&filters).map(|row| (row[0], row[2])).collect();
    let captures: BTreeMap<String, Capture> =
        captures(&corpus).into_iter().map(|capture| (capture.name.clone(), capture)).collect();
    let expected = read("filters_expected.tsv");
    let (mut checked, mut wrong) = (0, Vec::new());
    for row in table(&expected) {
        let (expression, capture) = (filters[row[0]], &captures[row[1]]);
        if !is_supported(capture.link) {
            continue;
        }
        checked += 1;
        let got = compile(expression, capture.link, SNAP_BYTES);
        let result = match (&got, row[3]) {
            (Err(_), "REJECTED") => continue,
            // Sharper than libpcap: it compiles what can never match.
            (Err(error), "0") if error.reason == ExpressionErrorReason::RejectsAll => continue,
            (Ok(program), matched) => {
                let frames = capture.selected(program.instructions());
                if matched == frames.len().to_string() && row[4] == hash(&frames) {
                    continue;
                }
                format!("{} frames: {:?}", frames.len(), &frames[..frames.len().min(6)])
            }
            (Err(error), _) => error.to_string(),
        };
        wrong.push(format!(
            "{} '{expression}' on {}: expected {:?}, got {result}",
            row[0],
            row[1],
            &row[3..]
        ));
    }
    println!("{checked} pairs of expression and capture, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 1000, "{checked}");
}

#[test]
fn rejects_what_tcpdump_rejects() {
    let Some(corpus) = corpus() else { return println!("skipped: no corpus (set SENTINEL_CORPUS)") };
    let rejects = std::fs::read_to_string(corpus.join("filters_reject.txt")).unwrap();
    for row in table(&rejects) {
        let error = compile(row[0], LinkType::ETHERNET, SNAP_BYTES).expect_err(row[0]);
        println!("{:24} {error}", row[0]);
        assert!((1..=row[0].len() + 1).contains(&error.column), "{}: {error}", row[0]);
    }
}

#[test]
fn programs_are_no_longer_than_those_of_libpcap() {
    let Some(corpus) = corpus() else { return println!("skipped: no corpus (set SENTINEL_CORPUS)") };
    let filters = std::fs::read_to_string(corpus.join("filters.txt")).unwrap();
    let (mut longer, mut shorter, mut equal) = (Vec::new(), 0, 0);
    let mut total = (0, 0);
    for capture in captures(&corpus)
        .iter()
        .filter(|capture| is_supported(capture.link) && capture.link != LinkType::NULL)
    {
        // NULL is left out: our programs take the family in either byte order, so that one program fits all
        // files.
        for row in table(&filters) {
            let Ok(ours) = compile(row[2], capture.link, SNAP_BYTES) else { continue };
            let Some(theirs) = tcpdump(capture, row[2]) else { return println!("skipped: no tcpdump") };
            let Ok(theirs) = theirs else { continue };
            let (ours, theirs) = (ours.instructions().len(), theirs.len());
            total = (total.0 + ours, total.1 + theirs);
            match ours.cmp(&theirs) {
                std::cmp::Ordering::Less => shorter += 1,
                std::cmp::Ordering::Equal => equal += 1,
                std::cmp::Ordering::Greater => {
                    longer.push(format!(
                        "{} '{}' on {}: {ours} against {theirs}",
                        row[0], row[2], capture.name
                    ));
                }
            }
        }
    }
    println!("{}", longer.join("\n"));
    println!(
        "{shorter} shorter, {equal} equal, {} longer; {} instructions against {}",
        longer.len(),
        total.0,
        total.1
    );
    assert!(longer.len() * 20 <= shorter + equal + longer.len(), "more than 5 % are longer");
}
