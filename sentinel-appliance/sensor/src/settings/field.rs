//! The types a setting can have: from text to value, from value to text, and what is allowed.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sentinel_alert::Severity;
use sentinel_detect::registry::MAX_PORTS;
use sentinel_units::Prefix;

/// A value of the settings with the range it must keep: the one place through which text gets in and out.
pub(super) enum Field<'s> {
    /// On or off.
    Switch(&'s mut bool),
    /// A whole number.
    Number(&'s mut u32, RangeInclusive<u32>),
    /// A span written as a whole number of seconds.
    Seconds(&'s mut Duration, RangeInclusive<u32>),
    /// A span written as a whole number of milliseconds.
    Millis(&'s mut Duration, RangeInclusive<u32>),
    /// One word of a few.
    Choice(&'s mut dyn Choice),
    /// An absolute path of at most so many bytes.
    Path(&'s mut PathBuf, usize),
    /// The same, or nothing.
    OptionalPath(&'s mut Option<PathBuf>, usize),
    /// At most so many names of network interfaces.
    Interfaces(&'s mut Vec<String>, usize),
    /// At most so many networks.
    Networks(&'s mut Vec<Prefix>, usize),
    /// Port numbers, at most [`MAX_PORTS`].
    Ports(&'s mut heapless::Vec<u16, MAX_PORTS>),
}

/// One of the values given is not allowed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// Which of the values.
    pub(super) index: usize,
    /// What is wrong with it, as the end of a sentence that starts with the value.
    pub(super) why: String,
}

impl Field<'_> {
    /// Whether it takes several values.
    pub(super) const fn is_list(&self) -> bool {
        matches!(self, Self::Interfaces(..) | Self::Networks(..) | Self::Ports(..))
    }

    /// Replaces the value by what `words` say; leaves it as it is on any fault.
    pub(super) fn set(&mut self, words: &[&str]) -> Result<(), Vec<Fault>> {
        if self.is_list() {
            return self.set_list(words);
        }
        // Whoever repeats an option means the last one, as in libuci.
        let word = words.last().copied().unwrap_or_default();
        self.set_one(word).map_err(|why| vec![Fault { index: words.len().saturating_sub(1), why }])
    }

    fn set_one(&mut self, word: &str) -> Result<(), String> {
        match self {
            Self::Switch(value) => **value = switch(word)?,
            Self::Number(value, range) => **value = number(word, range)?,
            Self::Seconds(value, range) => **value = Duration::from_secs(number(word, range)?.into()),
            Self::Millis(value, range) => **value = Duration::from_millis(number(word, range)?.into()),
            Self::Choice(value) => {
                if !value.choose(word) {
                    return Err("is none of them".into());
                }
            }
            Self::OptionalPath(value, _) if word.is_empty() => **value = None,
            Self::OptionalPath(value, longest) => **value = Some(path(word, *longest)?),
            Self::Path(value, longest) => **value = path(word, *longest)?,
            Self::Interfaces(..) | Self::Networks(..) | Self::Ports(_) => {}
        }
        Ok(())
    }

    fn set_list(&mut self, words: &[&str]) -> Result<(), Vec<Fault>> {
        match self {
            Self::Interfaces(value, most) => **value = list(words, *most, interface)?,
            Self::Networks(value, most) => {
                **value =
                    list(words, *most, |word| Prefix::from_str(word).map_err(|error| error.to_string()))?;
            }
            Self::Ports(value) => {
                let ports = list(words, MAX_PORTS, port)?;
                value.clear();
                for port in ports.into_iter().take(MAX_PORTS) {
                    let _fits_by_take = value.push(port);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The value as a file would spell it; a list has one text for each element.
    pub(super) fn texts(&self) -> Vec<String> {
        let one = |text: &dyn ToString| vec![text.to_string()];
        match self {
            Self::Switch(value) => one(&if **value { "on" } else { "off" }),
            Self::Number(value, _) => one(*value),
            Self::Seconds(value, _) => one(&value.as_secs()),
            Self::Millis(value, _) => one(&value.as_millis()),
            Self::Choice(value) => one(&value.chosen()),
            Self::Path(value, _) => one(&value.display()),
            Self::OptionalPath(value, _) => {
                one(&value.as_deref().map_or("".into(), std::path::Path::to_string_lossy))
            }
            Self::Interfaces(value, _) => value.to_vec(),
            Self::Networks(value, _) => value.iter().map(ToString::to_string).collect(),
            Self::Ports(value) => value.iter().map(ToString::to_string).collect(),
        }
    }

    /// Name of the type in the reference.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Switch(_) => "switch",
            Self::Number(..) | Self::Seconds(..) | Self::Millis(..) => "number",
            Self::Choice(_) => "choice",
            Self::Path(..) | Self::OptionalPath(..) => "path",
            Self::Interfaces(..) | Self::Networks(..) | Self::Ports(_) => "list",
        }
    }

    /// What is allowed, in words, without the unit.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Switch(_) => "on, off (or 1, 0, yes, no, true, false, enabled, disabled)".into(),
            Self::Number(_, range) | Self::Seconds(_, range) | Self::Millis(_, range) => {
                format!("{} to {}", range.start(), range.end())
            }
            Self::Choice(value) => value.choices().join(", "),
            Self::Path(_, longest) => format!("an absolute path of at most {longest} bytes"),
            Self::OptionalPath(_, longest) => {
                format!("an absolute path of at most {longest} bytes, or empty")
            }
            Self::Interfaces(_, most) => format!("1 to {most} names of at most {LONGEST_INTERFACE} bytes"),
            Self::Networks(_, most) => format!("1 to {most} networks such as 192.168.0.0/16 or fd00::/8"),
            Self::Ports(_) => format!("1 to {MAX_PORTS} ports, each 1 to 65535"),
        }
    }
}

/// An enum whose values have names.
pub(super) trait Choice {
    /// Name of the value.
    fn chosen(&self) -> &'static str;
    /// Names of all values.
    fn choices(&self) -> Vec<&'static str>;
    /// Takes the value with this name; leaves the old one if there is none.
    fn choose(&mut self, name: &str) -> bool;
}

macro_rules! choice {
    ($type:ty) => {
        impl Choice for $type {
            fn chosen(&self) -> &'static str {
                self.name()
            }

            fn choices(&self) -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.name()).collect()
            }

            fn choose(&mut self, name: &str) -> bool {
                let found = Self::ALL.into_iter().find(|value| value.name() == name);
                *self = found.unwrap_or(*self);
                found.is_some()
            }
        }
    };
}

choice!(Severity);
choice!(Cipher);
choice!(LogLevel);

/// Cipher of the channel to the collector; both ends must name the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Cipher {
    /// AES-256-GCM: for CPUs with AES instructions.
    #[default]
    AesGcm,
    /// ChaCha20-Poly1305: for CPUs without.
    ChaChaPoly,
}

impl Cipher {
    const ALL: [Self; 2] = [Self::AesGcm, Self::ChaChaPoly];

    /// Name in settings and machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aesgcm",
            Self::ChaChaPoly => "chachapoly",
        }
    }
}

/// Least important messages that are still printed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum LogLevel {
    /// What stops the sensor or a part of it.
    Error,
    /// What is lost or refused.
    Warn,
    /// Start, stop, reload, connection.
    #[default]
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// Name in settings and machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// `IFNAMSIZ` of linux/if.h without the final zero.
const LONGEST_INTERFACE: usize = 15;

/// The words that `config_get_bool` (functions.sh of the router system) knows.
fn switch(word: &str) -> Result<bool, String> {
    match word {
        "1" | "on" | "true" | "yes" | "enabled" => Ok(true),
        "0" | "off" | "false" | "no" | "disabled" => Ok(false),
        _ => Err("is neither on nor off".into()),
    }
}

fn number(word: &str, range: &RangeInclusive<u32>) -> Result<u32, String> {
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a whole number".into());
    }
    // All digits, so the only way to fail is to be too big.
    let value = word.parse().ok().filter(|value| range.contains(value));
    value.ok_or_else(|| "is out of range".into())
}

fn port(word: &str) -> Result<u16, String> {
    let value = number(word, &(1..=u16::MAX.into()))?;
    u16::try_from(value).map_err(|_| "is out of range".into())
}

fn path(word: &str, longest: usize) -> Result<PathBuf, String> {
    if !word.starts_with('/') {
        return Err("is not an absolute path".into());
    }
    if word.len() > longest {
        return Err(format!("has {} bytes", word.len()));
    }
    if word.chars().any(char::is_control) {
        return Err("holds a control character".into());
    }
    Ok(word.into())
}

/// The rule of the kernel (`dev_valid_name` in net/core/dev.c).
fn interface(word: &str) -> Result<String, String> {
    if word.len() > LONGEST_INTERFACE {
        return Err(format!("has {} bytes", word.len()));
    }
    let forbidden = |char: char| char == '/' || char == ':' || char.is_control() || char.is_whitespace();
    if word == "." || word == ".." || word.contains(forbidden) {
        return Err("cannot be the name of an interface".into());
    }
    Ok(word.into())
}

/// Every word read by `read`, all faults at once.
fn list<T: PartialEq>(
    words: &[&str],
    most: usize,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Vec<Fault>> {
    let mut values = Vec::new();
    let mut faults = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let why = match read(word) {
            Ok(value) if values.contains(&value) => "stands in the list twice".into(),
            Ok(_) if values.len() == most => {
                faults.push(Fault { index, why: format!("is one too many after {most}") });
                break; // bounds what follows: the rest would only repeat this
            }
            Ok(value) => {
                values.push(value);
                continue;
            }
            Err(why) => why,
        };
        faults.push(Fault { index, why });
    }
    if words.is_empty() {
        faults.push(Fault { index: 0, why: "is an empty list".into() });
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}
