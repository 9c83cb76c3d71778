//! Telnet: options that are negotiated.

use sentinel_dissect::application::telnet::{Command, Commands};

use super::layout::word;
use super::members::{Context, Members};

const VERBS: &str = "250:SB,WILL,WONT,DO,DONT";
/// Options in use (<https://www.iana.org/assignments/telnet-options>).
const OPTIONS: &str = "binary,echo,reconnection,suppress_go_ahead,,status,timing_mark,24:terminal_type,end_of_record,\
    31:window_size,terminal_speed,remote_flow_control,linemode,x_display_location,environment,authentication,encryption,\
    new_environment,tn3270e";

pub(super) fn write<'p>(bytes: &'p [u8], _: Context, members: &mut Members<'_>) -> &'p [u8] {
    let name = |Command { verb, option }: Command| {
        let verb = word(VERBS, verb.into()).unwrap_or_default();
        match word(OPTIONS, option.into()) {
            Some(option) => format!("{verb} {option}"),
            None => format!("{verb} {option}"),
        }
    };
    members.list("commands", &mut Commands::new(bytes).map(name));
    members.has_record = Commands::new(bytes).next().is_some();
    if !members.has_record {
        // Text is not shown: it may be a password, letter by letter.
        members.number("data", i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    }
    &[]
}
