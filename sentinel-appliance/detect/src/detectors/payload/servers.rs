//! Servers whose first payloads were judged: address and port as a fingerprint, with protocol, reports and a count, four bytes each.
//!
//! A fingerprint table of four ways (Fan et al., Cuckoo filter, 2014, for the fingerprints): an unknown server is taken for another with
//! a probability of 2^-11, over the choice of the key. The count ends after [`PERIOD_SHIFT`]; what was reported is remembered for five
//! periods, so that a server is reported about once a day.

use sentinel_units::Timestamp;

/// Logarithm of the period in seconds after which a server is judged again: 4.5 hours.
const PERIOD_SHIFT: u32 = 14;
/// Periods that reports are remembered for.
const REMEMBERED: u32 = 5;
/// Entries of one set.
const WAYS: usize = 4;
/// Count of a server that was judged: of its connections only samples are watched from then on.
const JUDGED: u32 = 64;

const TAG_SHIFT: u32 = 19;
const PERIOD_BITS: u32 = 16;
const CLASS_SHIFT: u32 = 12;
const REPORTED_SHIFT: u32 = 8;

/// Protocol of a connection or server, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Class {
    /// Not known yet.
    #[default]
    New,
    /// None of the others.
    Other,
    /// HTTP/1.
    Http,
    /// TLS.
    Tls,
    /// A server that speaks first, in lines: FTP, SMTP, POP3, IMAP.
    Lines,
    Telnet,
    Ldap,
    Mqtt,
    Redis,
}

impl Class {
    const ALL: [Self; 9] = [
        Self::New,
        Self::Other,
        Self::Http,
        Self::Tls,
        Self::Lines,
        Self::Telnet,
        Self::Ldap,
        Self::Mqtt,
        Self::Redis,
    ];

    fn from_bits(bits: u32) -> Self {
        usize::try_from(bits & 15).ok().and_then(|index| Self::ALL.get(index).copied()).unwrap_or_default()
    }

    fn bits(self) -> u32 {
        Self::ALL.iter().zip(0..).find(|(class, _)| **class == self).map_or(0, |(_, bits)| bits)
    }

    /// Returns true for protocols of which only the client's segments are read.
    pub(super) const fn is_client_first(self) -> bool {
        matches!(self, Self::Http | Self::Ldap | Self::Mqtt | Self::Redis)
    }

    /// Amount that a connection adds to the count of its server: one of TLS is enough, eight of HTTP, sixteen that say nothing.
    const fn weight(self) -> u32 {
        match self {
            Self::Tls => JUDGED,
            Self::New | Self::Other => JUDGED / 16,
            _ => JUDGED / 8,
        }
    }
}

/// State of one server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) class: Class,
    reported: u32,
    count: u32,
}

impl Known {
    /// Returns true if the next connection must be watched. Log-ins are watched until one was reported, because there are few of them;
    /// of all others `is_sample` decides once the server is judged.
    pub(super) fn is_due(self, is_sample: bool) -> bool {
        match self.class {
            Class::New | Class::Other | Class::Http | Class::Tls => {
                is_sample || self.count < JUDGED && self.reported == 0
            }
            _ => !self.is_reported(Report::Credentials),
        }
    }

    pub(super) fn is_reported(self, report: Report) -> bool {
        self.reported & report.bit() != 0
    }
}

/// Kinds of which a server is reported once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Report {
    Credentials,
    Tls,
    Foreign,
}

impl Report {
    const fn bit(self) -> u32 {
        match self {
            Self::Credentials => 1,
            Self::Tls => 2,
            Self::Foreign => 4,
        }
    }
}

/// The servers.
#[derive(Debug)]
pub(super) struct Servers<'m> {
    entries: &'m mut [u32],
    evictions: u64,
}

/// Period of a time, and the fingerprint of a server.
#[derive(Clone, Copy, Debug)]
struct Place {
    set: usize,
    tag: u32,
    period: u32,
}

impl<'m> Servers<'m> {
    pub(super) const fn new(entries: &'m mut [u32]) -> Self {
        Self { entries, evictions: 0 }
    }

    /// Returns true without memory.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries of this period that made room for others.
    pub(super) const fn evictions(&self) -> u64 {
        self.evictions
    }

    fn place(&self, server: u32, now: Timestamp) -> Place {
        let sets = u32::try_from(self.entries.len() / WAYS).unwrap_or(u32::MAX).max(1);
        // Both from the upper bits, which are the good ones of the hash.
        let tag = server >> TAG_SHIFT;
        let set = usize::try_from((server << 13 >> 13) % sets).unwrap_or_default() * WAYS;
        let period = u32::try_from((now.as_nanos() / 1_000_000_000) >> PERIOD_SHIFT & 7).unwrap_or_default();
        Place { set, tag, period }
    }

    /// State of the server with this keyed hash.
    pub(super) fn find(&self, server: u32, now: Timestamp) -> Option<Known> {
        let place = self.place(server, now);
        let set = self.entries.get(place.set..place.set + WAYS)?;
        set.iter().find(|entry| is_of(**entry, place)).and_then(|entry| known(*entry, place))
    }

    /// Notes the class of a server, whether it was reported, and a connection that was judged.
    #[inline(never)]
    pub(super) fn note(
        &mut self,
        server: u32,
        now: Timestamp,
        class: Class,
        report: Option<Report>,
    ) -> Known {
        let place = self.place(server, now);
        let Some(set) = self.entries.get_mut(place.set..place.set + WAYS) else { return Known::default() };
        let found = set.iter().position(|entry| is_of(*entry, place)).unwrap_or_else(|| {
            // The least evidence: free, from another period, then the lowest count without a report.
            let evidence = |entry: u32| match known(entry, place) {
                Some(known) if entry != 0 => known.count | known.reported << 8 | 1,
                _ => 0,
            };
            let least = set.iter().copied().enumerate().min_by_key(|(_, entry)| evidence(*entry));
            self.evictions += u64::from(least.is_some_and(|(_, entry)| evidence(entry) > 1));
            least.map_or(0, |(index, _)| index)
        });
        let Some(entry) = set.get_mut(found) else { return Known::default() };
        let before = if is_of(*entry, place) { known(*entry, place) } else { None }.unwrap_or_default();
        // A report is remembered from its day on, however often it is confirmed.
        let period = if before.reported == 0 { place.period } else { *entry >> PERIOD_BITS & 7 };
        // What says nothing does not take back what was known.
        let class = if matches!(class, Class::New | Class::Other) && before.class != Class::New {
            before.class
        } else {
            class
        };
        let after = Known {
            class,
            reported: before.reported | report.map_or(0, Report::bit),
            count: (before.count + class.weight()).min(255),
        };
        *entry = place.tag << TAG_SHIFT
            | period << PERIOD_BITS
            | after.class.bits() << CLASS_SHIFT
            | after.reported << REPORTED_SHIFT
            | after.count;
        before
    }
}

const fn is_of(entry: u32, place: Place) -> bool {
    entry != 0 && entry >> TAG_SHIFT == place.tag
}

/// State in an entry now; `None` if it is too old.
fn known(entry: u32, place: Place) -> Option<Known> {
    let age = place.period.wrapping_sub(entry >> PERIOD_BITS) & 7;
    (age < REMEMBERED).then(|| Known {
        class: Class::from_bits(entry >> CLASS_SHIFT),
        reported: entry >> REPORTED_SHIFT & 15,
        count: if age == 0 { entry & 255 } else { 0 },
    })
}
