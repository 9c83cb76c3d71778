//! FTP: command lines and replies.

use sentinel_dissect::application::ftp::{Line, Lines};

use super::members::{Context, Members, lossy};

/// Most lines of one message that are shown.
const MAX_LINES: usize = 16;

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    match Lines::new(bytes).next() {
        Some(Line::Command { verb, argument }) => {
            members.bare_text("command", verb);
            // A password is not shown: lines and records are kept for longer than packets.
            let is_secret = verb.eq_ignore_ascii_case(b"PASS");
            members.optional("argument", (!is_secret && !argument.is_empty()).then_some(argument));
        }
        Some(Line::Reply { code, text }) => {
            members.display("reply_code", &code);
            members.bare_text("reply_text", text.trim_ascii());
        }
        None => {}
    }
    let others = Lines::new(bytes).skip(1).take(MAX_LINES).map(|line| match line {
        Line::Command { verb, .. } => lossy(verb),
        Line::Reply { code, .. } => code.to_string(),
    });
    let others: Vec<String> = others.collect();
    if !others.is_empty() {
        members.list("followed_by", &mut others.into_iter());
    }
    &[]
}
