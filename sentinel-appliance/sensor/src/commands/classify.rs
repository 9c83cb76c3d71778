//! `sentinel classify FILE`: the score of each name of a list, as the detector `dga` sees it.

use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::Path;

use sentinel_detect::dga;

use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Longest line that is a name, line end included; the text form of a name has 253 characters, or 1,003 with escapes.
const MAX_LINE_LEN: u64 = 1_024;

/// Prints a line for each line of the file that is not empty.
pub(crate) fn classify(path: &Path) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| Failure::other(format!("{}: {error}", path.display()));
    if path.as_os_str() == "-" {
        return names(&mut stdin().lock(), &unreadable);
    }
    names(&mut BufReader::new(File::open(path).map_err(unreadable)?), &unreadable)
}

fn names(input: &mut dyn BufRead, unreadable: &dyn Fn(std::io::Error) -> Failure) -> Result<(), Failure> {
    let mut output = Output::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.take(MAX_LINE_LEN).read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        let name = str::from_utf8(&line)
            .ok()
            .filter(|name| name.len() < 1_024)
            .ok_or_else(|| {
                Failure::other(format!("line {number} is no name: not UTF-8, or longer than 1,023 bytes"))
            })?
            .trim_ascii();
        if !name.is_empty() {
            let score = dga::score(name);
            let class = if score >= dga::threshold() { "dga" } else { "benign" };
            output.line(|out| write!(out, "{name}\t{score}\t{class}"))?;
        }
    }
    output.flush()
}
