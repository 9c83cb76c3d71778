//! Pages of `--help`, generated from the tables of commands and options.

use super::arguments::Command;
use super::catalog::COMMANDS;
use super::option::{CommandOption, OPTIONS, Takes};

const EXIT_CODES: &str = "\nExit codes: 0 success, 1 failure (reason on standard error), 2 wrong usage,\n3 fault of a running sensor: start it again.";

/// Page of a command, or of the program.
pub(super) fn page(command: Option<&Command>) -> String {
    let mut page = String::new();
    match command {
        Some(command) => {
            page.extend(["sentinel ", command.name, " - ", command.about, "\n\nUsage:\n"]);
            row(&mut page, &usage(command), "");
            page.push_str("\nOptions:\n");
            for option in OPTIONS.iter().filter(|option| option.commands.contains(&command.name)) {
                row(&mut page, &spelling(option), option.help);
            }
        }
        None => {
            page.push_str("sentinel - network security sensor\n\nUsage:\n");
            for command in COMMANDS {
                row(&mut page, &usage(command), command.about);
            }
            page.push_str("\n'sentinel COMMAND --help' lists the options of a command.\n");
        }
    }
    page.push_str("\nOptions of every command:\n");
    for option in OPTIONS.iter().filter(|option| option.commands.is_empty()) {
        row(&mut page, &spelling(option), option.help);
    }
    if let Some(command) = command.filter(|command| !command.details.is_empty()) {
        page.extend(["\n", command.details, "\n"]);
    }
    page.push_str(EXIT_CODES);
    page
}

fn usage(command: &Command) -> String {
    format!("sentinel {} {}", command.name, command.usage)
}

/// `  -i, --interface NAME`.
fn spelling(option: &CommandOption) -> String {
    let mut text = option.short.map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    text.extend(["--", option.name]);
    match option.takes {
        Takes::Nothing => {}
        Takes::Value(placeholder) => text.extend([" ", placeholder]),
        Takes::OptionalValue(placeholder) => text.extend(["[=", placeholder, "]"]),
        Takes::OptionalNumber(placeholder) => text.extend([" [", placeholder, "]"]),
    }
    text
}

/// Writes two columns; a long left column has a line of its own.
fn row(page: &mut String, left: &str, right: &str) {
    const COLUMN: usize = 36;
    page.extend(["  ", left.trim_end()]);
    if !right.is_empty() {
        let width = left.trim_end().len() + 2;
        if width >= COLUMN {
            page.push('\n');
        }
        let gap = if width >= COLUMN { COLUMN } else { COLUMN - width };
        page.extend(std::iter::repeat_n(' ', gap));
        page.push_str(right);
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_option_is_on_a_page() {
        let all = page(None);
        for command in COMMANDS {
            assert!(all.contains(&format!("\n  sentinel {}", command.name)), "{all}");
            let own = page(Some(command));
            assert!(own.contains(command.about), "{own}");
            for option in OPTIONS.iter().filter(|option| option.belongs_to(command.name)) {
                assert!(own.contains(&format!("--{}", option.name)), "{}", option.name);
            }
        }
        assert!(all.lines().all(|line| line.len() <= 120), "{all}");
    }
}
