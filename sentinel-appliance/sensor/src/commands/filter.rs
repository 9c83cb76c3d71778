//! `sentinel filter EXPRESSION`: the BPF program of a filter.

use sentinel_filter::DumpStyle;
use sentinel_units::LinkType;

use crate::packets::filter::explain;
use crate::terminal::failure::Failure;
use crate::terminal::output::Output;

/// Bytes that a matching packet keeps in printed programs, as in those of tcpdump.
const SNAP_BYTES: u32 = 262_144;

/// Prints the program in one of the three formats of tcpdump.
pub(crate) fn filter(expression: &str, link: LinkType, style: DumpStyle) -> Result<(), Failure> {
    let program = sentinel_filter::compile(expression, link, SNAP_BYTES)
        .map_err(|error| Failure::other(explain(expression, &error)))?;
    let mut output = Output::new();
    for line in program.dump(style).to_string().lines() {
        output.line(|out| {
            out.push_str(line);
            Ok(())
        })?;
    }
    output.flush()
}

/// `--link NAME`: a link type by its name, as in tcpdump's `-y`, or its number.
pub(crate) fn link(text: &str) -> Result<LinkType, Failure> {
    let named = LinkType::SUPPORTED;
    if let Some(link) = named.into_iter().find(|link| link.to_string().eq_ignore_ascii_case(text)) {
        return Ok(link);
    }
    text.parse().map(LinkType).map_err(|_| {
        let names: Vec<String> = named.iter().map(ToString::to_string).collect();
        Failure::usage(format!("link type '{text}' is neither a number nor one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_types_have_names_and_numbers() {
        assert_eq!(link("en10mb").unwrap(), LinkType::ETHERNET);
        assert_eq!(link("147").unwrap(), LinkType(147));
        assert!(link("ethernet").unwrap_err().to_string().contains("EN10MB"));
    }
}
