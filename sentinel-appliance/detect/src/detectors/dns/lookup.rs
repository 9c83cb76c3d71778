//! A DNS message of an internal client, as the tests of names and answers take it.

use sentinel_alert::{Evidence, Severity, ShortName, Subject, Test};
use sentinel_dissect::dns;
use sentinel_units::{Address, Mac, Timestamp};

use super::dga::LOCAL;
use super::ends::{Ends, push_labels, second};
use super::question::read_question;
use super::suffix::{Labels, registered_labels};
use crate::incident::Finding;
use crate::shared::event::{ReadQuestion, Setting};

/// A message of an internal client, as the tests take it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<'e> {
    pub(super) setting: Setting<'e>,
    pub(super) ends: Ends,
    pub(super) client_hash: u32,
    /// Hardware address of the client, if it sent the message.
    pub(super) mac: Option<Mac>,
    /// The message.
    pub(super) bytes: &'e [u8],
    pub(super) question: ReadQuestion,
}

impl<'e> Lookup<'e> {
    /// Fills `labels` with those of the name, and gives the position of the registered domain; `None` for names that are nobody's: of home
    /// networks, reverse ones, and direct tunnels.
    #[inline(never)] // one copy for all tests
    pub(super) fn labels(&self, labels: &mut Labels<'e>) -> Option<usize> {
        let message = dns::Message::parse(self.bytes).ok()?;
        read_question(&message, self.bytes, labels)?;
        let registered = registered_labels(labels)?;
        let top = labels.last()?;
        let is_public = registered > 0 && !LOCAL.iter().any(|local| local.eq_ignore_ascii_case(top));
        is_public.then(|| labels.len().saturating_sub(registered))
    }

    /// Finding about the client and a name. `numbers` are count, networks, threshold and window of the evidence; `imitated` follows
    /// the name.
    #[inline(never)] // one copy for all tests
    pub(super) fn finding(
        &self,
        (test, severity): (Test, Severity),
        (first, scope): (Timestamp, u32),
        [count, networks, threshold, window_s]: [u32; 4],
        (named, labels, imitated): (Address, &[&[u8]], &str),
    ) -> Finding {
        let mut name = text(labels);
        if !imitated.is_empty() {
            // Cut if both are too long for the field.
            let _full_is_cut = name.push(' ').and_then(|()| name.push_str(imitated));
        }
        Finding {
            test,
            severity,
            first,
            subject: Subject { source: Some(self.ends.client), mac: self.mac, ..Subject::default() },
            evidence: Evidence::Answers { count, networks, threshold, window_s, named, name },
            adds: 1,
            scope,
        }
    }

    /// Seconds of the packet time.
    pub(super) fn second(&self) -> u32 {
        second(self.setting)
    }
}

/// A name in text form, cut to its end if it is too long.
fn text(labels: &[&[u8]]) -> ShortName {
    let mut characters = 0;
    let fits = |label: &&&[u8]| {
        characters += label.len() + 1;
        characters <= ShortName::new().capacity()
    };
    let count = labels.iter().rev().take_while(fits).count();
    let mut name = ShortName::new();
    push_labels(&mut name, labels.get(labels.len().saturating_sub(count)..).unwrap_or_default());
    name
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn a_long_name_keeps_its_end() {
        let labels = [&[b'a'; 50][..], &[b'b'; 30], &[b'c'; 20], b"com"];
        assert_eq!(text(&labels).as_str(), format!("{}.{}.com", "b".repeat(30), "c".repeat(20)));
    }
}
