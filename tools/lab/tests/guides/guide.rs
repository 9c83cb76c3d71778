//! Commands of a guide, and what they are said to print.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

/// A block of commands for one machine, and lines that follow it.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// `FILE:LINE` of its first command.
    pub(crate) place: String,
    /// Second word of the fence: ```` ```sh router ````.
    pub(crate) machine: String,
    /// Commands with their continuation lines and heredocs.
    pub(crate) commands: Vec<String>,
    /// Lines of the `text` block behind it.
    pub(crate) printed: Vec<String>,
}

/// Blocks of a guide in order. Every fence has to be `sh MACHINE`, or `text` for what the commands before it print.
pub(crate) fn blocks(docs: &Path, name: &str) -> Result<Vec<Block>> {
    let text = fs::read_to_string(docs.join(name)).with_context(|| name.to_owned())?;
    parse(name, &text)
}

fn parse(name: &str, text: &str) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        ensure!(!line.starts_with("    "), "{name}:{number}: an indented block: no test would run it");
        let Some(kind) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```")).collect();
        match kind.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["sh", machine] => blocks.push(Block {
                place: format!("{name}:{}", number + 1),
                machine: (*machine).to_owned(),
                commands: commands(&body).with_context(|| format!("{name}:{number}"))?,
                printed: Vec::new(),
            }),
            ["text"] => {
                let block = blocks.last_mut().with_context(|| format!("{name}:{number}: text of nothing"))?;
                block.printed.extend(body.iter().map(|line| (*line).to_owned()));
            }
            _ => bail!("{name}:{number}: a fence that is neither `sh MACHINE` nor `text`"),
        }
    }
    Ok(blocks)
}

fn commands(lines: &[&str]) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        let mut command = (*line).to_owned();
        while command.ends_with('\\') {
            command = format!("{command}\n{}", lines.next().context("a line that goes on")?);
        }
        if let Some((_, end)) = command.clone().split_once("<<'") {
            let (end, _) = end.split_once('\'').context("the end of a heredoc")?;
            loop {
                let line = lines.next().context("a heredoc that ends")?;
                command = format!("{command}\n{line}");
                if *line == end {
                    break;
                }
            }
        }
        if !command.trim().is_empty() {
            found.push(command);
        }
    }
    Ok(found)
}

/// True if some line of `output` has the pieces of `expected`, which `...` separates, in order.
pub(crate) fn is_printed(expected: &str, output: &str) -> bool {
    output.lines().any(|line| {
        let mut rest = line;
        expected.split("...").all(|piece| {
            let found = rest.find(piece.trim());
            rest = found.and_then(|at| rest.get(at + piece.trim().len()..)).unwrap_or_default();
            found.is_some()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_keep_their_continuations_and_heredocs() -> Result<()> {
        let text = "Words.\n```sh pi\na \\\n  b\ncat <<'E'\nx\nE\n```\n```text\none ... two\n```\n";
        let blocks = parse("f.md", text)?;
        let [block] = blocks.as_slice() else { bail!("{blocks:?}") };
        assert_eq!((block.place.as_str(), block.machine.as_str()), ("f.md:3", "pi"));
        assert_eq!(block.commands, ["a \\\n  b", "cat <<'E'\nx\nE"]);
        assert_eq!(block.printed, ["one ... two"]);
        Ok(())
    }

    #[test]
    fn a_fence_that_no_test_would_run_is_an_error() {
        for text in ["```\na\n```\n", "```sh\na\n```\n", "```text\na\n```\n", "    a\n", "```console\n```\n"]
        {
            assert!(parse("f.md", text).is_err(), "{text}");
        }
    }

    #[test]
    fn pieces_have_to_stand_in_one_line_in_order() {
        assert!(is_printed("alerts ... raised", "x\nalerts  12 raised = 12"));
        assert!(!is_printed("alerts ... raised", "alerts 12\nraised"));
        assert!(!is_printed("raised ... alerts", "alerts 12 raised"));
    }
}
