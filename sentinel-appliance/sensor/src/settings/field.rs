//! Types of settings: text to value, value to text, and the allowed range.

use std::fmt;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sentinel_detect::AllowRule;
use sentinel_detect::registry::MAX_PORTS;
use sentinel_filter::{ExpressionError, Target};
use sentinel_units::{LinkType, ParsePrefixError, Prefix, millis};
use sentinel_uplink::{MAX_ADDRESS_LEN, is_address};

use super::choice::Choice;
use super::evidence_key::{EvidenceKey, EvidenceKeyError};

/// Value of a setting with its range. All text of settings is parsed and written here.
pub(super) enum Field<'s> {
    /// On or off.
    Switch(&'s mut bool),
    /// A whole number.
    Number(&'s mut u32, RangeInclusive<u32>),
    /// A number of KiB, or the name of a [`PROFILES`] entry, which stands for its number.
    Memory(&'s mut u32, RangeInclusive<u32>),
    /// A filter in tcpdump's language of at most so many bytes, or nothing.
    Expression(&'s mut String, usize),
    /// A user by name or as `UID:GID` of at most so many bytes, or nothing.
    User(&'s mut String, usize),
    /// A span written as a whole number of seconds.
    Seconds(&'s mut Duration, RangeInclusive<u32>),
    /// A span written as a whole number of milliseconds.
    Millis(&'s mut Duration, RangeInclusive<u32>),
    /// A public key, or a word that stands for one or none.
    EvidenceKey(&'s mut EvidenceKey),
    /// One word of a few.
    Choice(&'s mut dyn Choice),
    /// An absolute path of at most so many bytes.
    Path(&'s mut PathBuf, usize),
    /// An absolute path of at most so many bytes, or nothing.
    OptionalPath(&'s mut Option<PathBuf>, usize),
    /// At most so many names of network interfaces.
    Interfaces(&'s mut Vec<String>, usize),
    /// At most so many addresses of a collector, see [`with_port`], or none.
    Addresses(&'s mut Vec<String>, usize),
    /// At most so many networks.
    Networks(&'s mut Vec<Prefix>, usize),
    /// At most so many rules; may be empty.
    AllowRules(&'s mut Vec<AllowRule>, usize),
    /// Port numbers, at most [`MAX_PORTS`].
    Ports(&'s mut heapless::Vec<u16, MAX_PORTS>),
}

/// Value of a list, or the only one, that is not allowed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// Index of the value.
    pub(super) index: usize,
    /// Reason, as the end of a sentence that starts with the value.
    pub(super) why: FieldError,
}

/// Reason why a text is no value of a setting.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FieldError {
    /// Neither of the words for a switch.
    NotASwitch,
    /// Not all digits.
    NotANumber,
    /// A number outside the range.
    OutOfRange,
    /// None of the choices.
    NoneOfThem,
    /// Neither a word for a key nor a key.
    EvidenceKey(EvidenceKeyError),
    /// Longer than allowed; its length in bytes.
    TooLong(usize),
    /// A path that does not begin with a slash.
    NotAbsolute,
    /// Neither the name of a user nor `UID:GID`.
    NotAUser,
    /// A path with a control character.
    ControlCharacter,
    /// A filter that does not compile.
    Filter(ExpressionError),
    /// Not `ADDRESS` or `ADDRESS/LENGTH`.
    NotANetwork,
    /// A prefix longer than this, the length of the address.
    PrefixTooLong(u8),
    /// The kernel takes no such name.
    NotAnInterface,
    /// Neither a host, nor a host and a port.
    NotAnAddress,
    /// Not conditions with `+` between.
    NotARule,
    /// The list has more values than this.
    TooMany(usize),
    /// The value is in the list already.
    Duplicate,
    /// The list has no value.
    EmptyList,
}

impl fmt::Display for FieldError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASwitch => out.write_str("is neither on nor off"),
            Self::NotANumber => out.write_str("is not a whole number"),
            Self::OutOfRange => out.write_str("is out of range"),
            Self::EvidenceKey(error) => error.fmt(out),
            Self::NoneOfThem => out.write_str("is none of them"),
            Self::TooLong(bytes) => write!(out, "has {bytes} bytes"),
            Self::NotAbsolute => out.write_str("is not an absolute path"),
            Self::NotAUser => out.write_str("is neither the name of a user nor UID:GID"),
            Self::ControlCharacter => out.write_str("holds a control character"),
            Self::Filter(error) => write!(out, "is no filter: {error}"),
            Self::NotANetwork => out.write_str("is not a network"),
            Self::PrefixTooLong(longest) => write!(out, "has a length over {longest}"),
            Self::NotAnInterface => out.write_str("cannot be the name of an interface"),
            Self::NotAnAddress => out.write_str("is not an address"),
            Self::NotARule => out.write_str("is no rule"),
            Self::TooMany(most) => write!(out, "is one too many after {most}"),
            Self::Duplicate => out.write_str("is twice in the list"),
            Self::EmptyList => out.write_str("is an empty list"),
        }
    }
}

impl Field<'_> {
    /// Returns true if the setting takes several values.
    pub(super) const fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Interfaces(..)
                | Self::Addresses(..)
                | Self::Networks(..)
                | Self::AllowRules(..)
                | Self::Ports(..)
        )
    }

    /// Parses `words` and replaces the value; with any fault the old value stays.
    pub(super) fn set(&mut self, words: &[&str]) -> Result<(), Vec<Fault>> {
        if self.is_list() {
            return self.set_list(words);
        }
        // The layers give one word for a setting that takes one value.
        let word = words.last().copied().unwrap_or_default();
        self.set_one(word).map_err(|why| vec![Fault { index: words.len().saturating_sub(1), why }])
    }

    fn set_one(&mut self, word: &str) -> Result<(), FieldError> {
        match self {
            Self::Switch(value) => **value = switch(word)?,
            Self::Number(value, range) => **value = number(word, range)?,
            Self::Memory(value, range) => {
                let profile = PROFILES.iter().find(|(name, _)| *name == word);
                **value = profile.map_or_else(|| number(word, range), |(_, kib)| Ok(*kib))?;
            }
            Self::Expression(value, longest) => **value = expression(word, *longest)?,
            Self::User(value, longest) => **value = user(word, *longest)?,
            Self::Seconds(value, range) => **value = Duration::from_secs(number(word, range)?.into()),
            Self::Millis(value, range) => **value = Duration::from_millis(number(word, range)?.into()),
            Self::EvidenceKey(value) => {
                **value = EvidenceKey::parse(word).map_err(FieldError::EvidenceKey)?;
            }
            Self::Choice(value) => value.choose(word).map_err(|_| FieldError::NoneOfThem)?,
            Self::OptionalPath(value, _) if word.is_empty() => **value = None,
            Self::OptionalPath(value, longest) => **value = Some(path(word, *longest)?),
            Self::Path(value, longest) => **value = path(word, *longest)?,
            Self::Interfaces(..)
            | Self::Addresses(..)
            | Self::Networks(..)
            | Self::AllowRules(..)
            | Self::Ports(_) => {}
        }
        Ok(())
    }

    fn set_list(&mut self, words: &[&str]) -> Result<(), Vec<Fault>> {
        match self {
            Self::Interfaces(value, most) => {
                let mut names = Vec::new();
                list(words, *most, &mut |word| Ok(add(&mut names, interface(word)?)))?;
                **value = names;
            }
            Self::Addresses(value, _) if words.iter().all(|word| word.is_empty()) => value.clear(),
            Self::Addresses(value, most) => {
                let mut addresses = Vec::new();
                list(words, *most, &mut |word| Ok(add(&mut addresses, address(word)?)))?;
                **value = addresses;
            }
            Self::AllowRules(value, _) if words.iter().all(|word| word.is_empty()) => value.clear(),
            Self::AllowRules(value, most) => {
                let mut rules = Vec::new();
                let mut take =
                    |word: &str| Ok(add(&mut rules, word.parse().map_err(|_| FieldError::NotARule)?));
                list(words, *most, &mut take)?;
                **value = rules;
            }
            Self::Networks(value, most) => {
                let mut networks = Vec::new();
                list(words, *most, &mut |word| Ok(add(&mut networks, network(word)?)))?;
                **value = networks;
            }
            Self::Ports(value) => {
                let mut ports = Vec::new();
                list(words, MAX_PORTS, &mut |word| Ok(add(&mut ports, port(word)?)))?;
                **value = ports.into_iter().take(MAX_PORTS).collect();
            }
            _ => {}
        }
        Ok(())
    }

    /// Text of the value in a file; a list has one text for each element.
    pub(super) fn texts(&self) -> Vec<String> {
        let one = |text: &dyn ToString| vec![text.to_string()];
        match self {
            Self::Switch(value) => one(&if **value { "on" } else { "off" }),
            Self::Number(value, _) | Self::Memory(value, _) => one(*value),
            Self::Expression(value, _) | Self::User(value, _) => one(*value),
            Self::Seconds(value, _) => one(&value.as_secs()),
            Self::Millis(value, _) => one(&millis(**value)),
            Self::EvidenceKey(value) => one(*value),
            Self::Choice(value) => one(&value.chosen()),
            Self::Path(value, _) => one(&value.display()),
            Self::OptionalPath(value, _) => {
                one(&value.as_deref().map_or("".into(), std::path::Path::to_string_lossy))
            }
            Self::Interfaces(value, _) | Self::Addresses(value, _) => value.to_vec(),
            Self::Networks(value, _) => value.iter().map(ToString::to_string).collect(),
            Self::AllowRules(value, _) => value.iter().map(ToString::to_string).collect(),
            Self::Ports(value) => value.iter().map(ToString::to_string).collect(),
        }
    }

    /// Name of the type in the reference.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Switch(_) => "switch",
            Self::Number(..) | Self::Memory(..) | Self::Seconds(..) | Self::Millis(..) => "number",
            Self::Expression(..) => "filter",
            Self::User(..) => "user",
            Self::EvidenceKey(_) => "key",
            Self::Choice(_) => "choice",
            Self::Path(..) | Self::OptionalPath(..) => "path",
            Self::Interfaces(..)
            | Self::Addresses(..)
            | Self::Networks(..)
            | Self::AllowRules(..)
            | Self::Ports(_) => "list",
        }
    }

    /// Allowed values in words, without the unit.
    pub(super) fn allowed(&self) -> String {
        match self {
            Self::Switch(_) => "on, off".into(),
            Self::Number(_, range) | Self::Seconds(_, range) | Self::Millis(_, range) => {
                format!("{} to {}", range.start(), range.end())
            }
            Self::Memory(_, range) => {
                let names: Vec<String> =
                    PROFILES.iter().map(|(name, kib)| format!("{name} ({kib})")).collect();
                format!("{}, or {} to {}", names.join(", "), range.start(), range.end())
            }
            Self::Expression(_, longest) => {
                format!("an expression of tcpdump's filter language of at most {longest} bytes, or empty")
            }
            Self::User(_, longest) => {
                format!("a name of at most {longest} bytes, UID:GID in decimal, or empty")
            }
            Self::EvidenceKey(_) => "collector, none, or a public key of 52 base32 characters".into(),
            Self::Choice(value) => value.choices().join(", "),
            Self::Path(_, longest) => format!("an absolute path of at most {longest} bytes"),
            Self::OptionalPath(_, longest) => {
                format!("an absolute path of at most {longest} bytes, or empty")
            }
            Self::Interfaces(_, most) => {
                format!("1 to {most} names of at most {MAX_INTERFACE_NAME_LEN} bytes")
            }
            Self::Addresses(_, most) => {
                format!(
                    "up to {most} of HOST, HOST:PORT and [IPV6]:PORT, each of at most {MAX_ADDRESS_LEN} bytes with its port"
                )
            }
            Self::Networks(_, most) => format!("1 to {most} networks such as 192.168.0.0/16 or fd00::/8"),
            Self::AllowRules(_, most) => format!(
                "up to {most} rules of kind=KIND, source=NETWORK, destination=NETWORK, port=PORT and name=DOMAIN, with + between"
            ),
            Self::Ports(_) => format!("1 to {MAX_PORTS} ports, each 1 to 65535"),
        }
    }
}

/// Named sizes of the tables, in KiB.
pub(super) const PROFILES: [(&str, u32); 3] = [("tiny", 384), ("default", 2_048), ("full", 8_192)];

/// `IFNAMSIZ` of linux/if.h without the final zero.
const MAX_INTERFACE_NAME_LEN: usize = 15;

/// Parses the words that `config_get_bool` of OpenWrt (functions.sh) accepts.
fn switch(word: &str) -> Result<bool, FieldError> {
    match word {
        "1" | "on" | "true" | "yes" | "enabled" => Ok(true),
        "0" | "off" | "false" | "no" | "disabled" => Ok(false),
        _ => Err(FieldError::NotASwitch),
    }
}

fn number(word: &str, range: &RangeInclusive<u32>) -> Result<u32, FieldError> {
    if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FieldError::NotANumber);
    }
    // All digits, so the only way to fail is to be too big.
    let value = word.parse().ok().filter(|value| range.contains(value));
    value.ok_or(FieldError::OutOfRange)
}

fn port(word: &str) -> Result<u16, FieldError> {
    let value = number(word, &(1..=u16::MAX.into()))?;
    u16::try_from(value).map_err(|_| FieldError::OutOfRange)
}

fn path(word: &str, longest: usize) -> Result<PathBuf, FieldError> {
    if !word.starts_with('/') {
        return Err(FieldError::NotAbsolute);
    }
    if word.len() > longest {
        return Err(FieldError::TooLong(word.len()));
    }
    if word.chars().any(char::is_control) {
        return Err(FieldError::ControlCharacter);
    }
    Ok(word.into())
}

/// Compiles the filter for Ethernet: the link type of the interface is not known here. An expression that is wrong on that
/// link only is refused at the start.
fn expression(word: &str, longest: usize) -> Result<String, FieldError> {
    if word.len() > longest {
        return Err(FieldError::TooLong(word.len()));
    }
    match sentinel_filter::compile_for(Target::Kernel, word, LinkType::ETHERNET, u32::MAX) {
        Ok(_) => Ok(word.trim().into()),
        Err(error) => Err(FieldError::Filter(error)),
    }
}

/// Checks the characters only: whether there is such a user is known on the device.
fn user(word: &str, longest: usize) -> Result<String, FieldError> {
    if word.len() > longest {
        return Err(FieldError::TooLong(word.len()));
    }
    let is_name = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !text.starts_with('-')
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match word.split_once(':') {
        Some((user, group)) if is_number(user) && is_number(group) => Ok(word.into()),
        None if is_name(word) => Ok(word.into()),
        _ => Err(FieldError::NotAUser),
    }
}

fn network(word: &str) -> Result<Prefix, FieldError> {
    word.parse().map_err(|error| match error {
        ParsePrefixError::TooLong { longest, .. } => FieldError::PrefixTooLong(longest),
        _ => FieldError::NotANetwork,
    })
}

fn address(word: &str) -> Result<String, FieldError> {
    if is_address(&with_port(word, u16::MAX.into())) {
        Ok(word.into())
    } else {
        Err(FieldError::NotAnAddress)
    }
}

/// The address `word` with its own port, or else with `port`.
pub(crate) fn with_port(word: &str, port: u32) -> String {
    if word.parse::<Ipv6Addr>().is_ok() {
        format!("[{word}]:{port}")
    } else if is_address(word) {
        word.to_owned()
    } else {
        format!("{word}:{port}")
    }
}

/// Checks the rule of the kernel (`dev_valid_name` in net/core/dev.c).
fn interface(word: &str) -> Result<String, FieldError> {
    if word.len() > MAX_INTERFACE_NAME_LEN {
        return Err(FieldError::TooLong(word.len()));
    }
    let forbidden = |char: char| char == '/' || char == ':' || char.is_control() || char.is_whitespace();
    if word == "." || word == ".." || word.contains(forbidden) {
        return Err(FieldError::NotAnInterface);
    }
    Ok(word.into())
}

/// Gives every word to `take`, which returns true if it was new, and collects all faults.
fn list(
    words: &[&str],
    most: usize,
    take: &mut dyn FnMut(&str) -> Result<bool, FieldError>,
) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut taken = 0;
    for (index, word) in words.iter().enumerate() {
        let why = match take(word) {
            Ok(true) if taken == most => {
                faults.push(Fault { index, why: FieldError::TooMany(most) });
                break; // Every further word would only repeat this fault.
            }
            Ok(true) => {
                taken += 1;
                continue;
            }
            Ok(false) => FieldError::Duplicate,
            Err(why) => why,
        };
        faults.push(Fault { index, why });
    }
    if words.is_empty() {
        faults.push(Fault { index: 0, why: FieldError::EmptyList });
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Adds `value` unless it is there; returns true if it was new.
fn add<T: PartialEq>(values: &mut Vec<T>, value: T) -> bool {
    let new = !values.contains(&value);
    if new {
        values.push(value);
    }
    new
}

#[cfg(test)]
mod tests {
    use sentinel_alert::Severity;

    use super::super::choice::{Cipher, KernelSnap, LogLevel};
    use super::super::registry::{self, Settings};
    use super::*;

    fn why(field: &mut Field<'_>, words: &[&str]) -> Vec<(usize, String)> {
        field.set(words).unwrap_err().into_iter().map(|fault| (fault.index, fault.why.to_string())).collect()
    }

    #[test]
    fn rules_may_be_none_and_each_fault_is_named() {
        let mut rules = Vec::new();
        let mut field = Field::AllowRules(&mut rules, 2);
        assert_eq!(field.set(&["port=22", "kind=dga+name=Example.com"]), Ok(()));
        assert_eq!(field.texts(), ["port=22", "kind=dga+name=example.com"]);
        let faults = why(&mut field, &["port=22", "kind=scan", "port=22"]);
        assert_eq!(faults, [(1, "is no rule".into()), (2, "is twice in the list".into())]);
        assert_eq!(why(&mut field, &["port=1", "port=2", "port=3"]), [(2, "is one too many after 2".into())]);
        assert_eq!(field.texts().len(), 2, "a refused list changes nothing");
        assert_eq!((field.set(&[""]), field.texts()), (Ok(()), Vec::new()));
    }

    #[test]
    fn numbers_keep_both_ends_of_their_range() {
        let mut settings = Settings::default();
        let mut seen = 0;
        for setting in registry::all() {
            let mut field = setting.field(&mut settings);
            let (Field::Number(_, range) | Field::Seconds(_, range) | Field::Millis(_, range)) = &field
            else {
                continue;
            };
            let (min, max) = (*range.start(), *range.end());
            for good in [min, max] {
                assert_eq!(field.set(&[&good.to_string()]), Ok(()), "{}", setting.key());
                assert_eq!(field.texts(), [good.to_string()]);
            }
            let below = min.checked_sub(1).map(|value| value.to_string());
            for bad in below.into_iter().chain([(u64::from(max) + 1).to_string(), "9".repeat(40)]) {
                assert_eq!(why(&mut field, &[&bad]), [(0, "is out of range".into())], "{}", setting.key());
            }
            for bad in ["", "-1", "+5", "5.0", "0x10", "1e3", " 5", "5s", "\u{665}"] {
                assert_eq!(why(&mut field, &[bad]), [(0, "is not a whole number".into())], "{bad:?}");
            }
            assert_eq!(field.texts(), [max.to_string()], "a refused value changes nothing");
            seen += 1;
        }
        assert!(seen >= 20, "the registry has numbers");
    }

    #[test]
    fn sizes_of_memory_have_names() {
        let mut kib = 0;
        let mut field = Field::Memory(&mut kib, 256..=4_096);
        for (word, text) in [("tiny", "384"), ("default", "2048"), ("full", "8192"), ("300", "300")] {
            assert_eq!(field.set(&[word]), Ok(()));
            assert_eq!(field.texts(), [text]);
        }
        assert_eq!(why(&mut field, &["huge"]), [(0, "is not a whole number".into())]);
        assert_eq!(why(&mut field, &["255"]), [(0, "is out of range".into())]);
    }

    #[test]
    fn a_filter_that_cannot_be_compiled_is_refused_with_its_column() {
        let mut text = String::new();
        let mut field = Field::Expression(&mut text, 40);
        assert_eq!(field.set(&["not port 22 and (tcp or arp)"]), Ok(()));
        let faults = why(&mut field, &["tcp port"]);
        assert!(faults[0].1.starts_with("is no filter: column 9"), "{faults:?}");
        assert_eq!(why(&mut field, &[&"a".repeat(41)]), [(0, "has 41 bytes".into())]);
        assert_eq!(field.texts(), ["not port 22 and (tcp or arp)"]);
        assert_eq!(field.set(&[""]), Ok(()));
    }

    #[test]
    fn switches_accept_the_values_of_uci() {
        let mut value = false;
        for (word, on) in [("1", true), ("on", true), ("true", true), ("yes", true), ("enabled", true)]
            .into_iter()
            .chain([("0", false), ("off", false), ("false", false), ("no", false), ("disabled", false)])
        {
            value = !on;
            Field::Switch(&mut value).set(&[word]).unwrap();
            assert_eq!(value, on, "{word}");
        }
        for word in ["", "2", "ON", "maybe"] {
            let faults = why(&mut Field::Switch(&mut value), &[word]);
            assert_eq!(faults, [(0, "is neither on nor off".into())], "{word}");
        }
    }

    #[test]
    fn every_choice_has_a_name_that_chooses_it() {
        let (mut severity, mut cipher, mut level) = (Severity::Info, Cipher::AesGcm, LogLevel::Info);
        let mut snap = KernelSnap::Off;
        let choices: [&mut dyn Choice; 4] = [&mut severity, &mut cipher, &mut level, &mut snap];
        for choice in choices {
            for name in choice.choices() {
                assert_eq!(choice.choose(name), Ok(()));
                assert_eq!(choice.chosen(), name);
                assert!(choice.choose("other").is_err());
                assert_eq!(choice.chosen(), name, "a refused value changes nothing");
            }
        }
        assert_eq!((severity, cipher, level), (Severity::Critical, Cipher::ChaChaPoly, LogLevel::Debug));
    }

    #[test]
    fn paths_are_absolute_and_bounded() {
        let mut value = PathBuf::new();
        let mut field = Field::Path(&mut value, 10);
        assert_eq!(field.set(&["/123456789"]), Ok(()));
        assert_eq!(why(&mut field, &["/1234567890"]), [(0, "has 11 bytes".into())]);
        assert_eq!(why(&mut field, &["tmp"]), [(0, "is not an absolute path".into())]);
        assert_eq!(why(&mut field, &[""]), [(0, "is not an absolute path".into())]);
        assert_eq!(why(&mut field, &["/a\u{7}"]), [(0, "holds a control character".into())]);
        let mut value = Some(value);
        Field::OptionalPath(&mut value, 10).set(&[""]).unwrap();
        assert_eq!(value, None);
    }

    #[test]
    fn lists_report_every_bad_element() {
        let mut value = vec!["old".to_owned()];
        let mut field = Field::Interfaces(&mut value, 2);
        assert_eq!(
            why(&mut field, &["eth0", "a/b", "eth0", "sixteen_bytes_xy", "..", "eth0:1"]),
            [
                (1, "cannot be the name of an interface".into()),
                (2, "is twice in the list".into()),
                (3, "has 16 bytes".into()),
                (4, "cannot be the name of an interface".into()),
                (5, "cannot be the name of an interface".into()),
            ]
        );
        assert_eq!(why(&mut field, &["a", "b", "c", "d"]), [(2, "is one too many after 2".into())]);
        assert_eq!(why(&mut field, &[]), [(0, "is an empty list".into())]);
        assert_eq!(field.texts(), ["old"]);
        assert_eq!(field.set(&["fifteen_bytes_x", "eth0.1"]), Ok(()));
    }

    #[test]
    fn ports_and_networks_keep_their_range() {
        let mut value = heapless::Vec::new();
        let mut field = Field::Ports(&mut value);
        field.set(&["1", "65535"]).unwrap();
        assert_eq!(why(&mut field, &["0", "65536"]), [0, 1].map(|index| (index, "is out of range".into())));
        let most: Vec<String> = (1..=MAX_PORTS).map(|port| port.to_string()).collect();
        let mut most: Vec<&str> = most.iter().map(String::as_str).collect();
        field.set(&most).unwrap();
        most.push("99");
        assert_eq!(why(&mut field, &most), [(MAX_PORTS, format!("is one too many after {MAX_PORTS}"))]);

        let mut value = Vec::new();
        let mut field = Field::Networks(&mut value, 16);
        assert_eq!(
            why(&mut field, &["10.0.0.0/33", "fd00::/129", "home", "10.0.0.0/", "10.1.0.0/8", "10.2.0.0/8"]),
            [
                (0, "has a length over 32".into()),
                (1, "has a length over 128".into()),
                (2, "is not a network".into()),
                (3, "is not a network".into()),
                (5, "is twice in the list".into()),
            ]
        );
        field.set(&["10.1.2.3/8", "fd00::/8"]).unwrap();
        assert_eq!(field.texts(), ["10.0.0.0/8", "fd00::/8"]);
    }
}
