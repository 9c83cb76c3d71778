//! Parameters of the operations: place, form, range and default of each, from which requests are checked and documented.

use std::time::Duration;

use sentinel_alert::{Kind, Severity};

use crate::model::{IncidentPhase, IncidentState, MAX_NAME_LEN, Role};

/// Part of a request that carries a parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// The part in braces of the path.
    Path,
    /// The query of the address.
    Query,
    /// A member of the body.
    Body,
    /// A field of the header.
    Header,
}

/// Values that a parameter may have.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A whole number of this range.
    Number {
        /// Least value.
        least: i64,
        /// Greatest value.
        most: i64,
        /// Value if it is not given.
        default: Option<i64>,
    },
    /// One of these names.
    Choice(fn() -> Vec<&'static str>),
    /// Some of these names, separated by commas.
    Choices(fn() -> Vec<&'static str>),
    /// An instant, or a span before now.
    Time,
    /// A span above zero and up to this one.
    Span(Duration),
    /// An address, or a network.
    Network,
    /// A position that a page before has named.
    Cursor,
    /// `true` or `false`.
    Flag,
    /// A text of so many characters, and what it may say.
    Text {
        /// Least number of characters.
        least: usize,
        /// Greatest number of characters.
        most: usize,
        /// Form, for people.
        form: &'static str,
    },
    /// A list of names, up to this number; `null` for no limitation if the flag is set.
    Names(usize, bool),
    /// A list of row numbers, one to this number.
    Rows(usize),
}

/// Declaration of one parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its place.
    pub place: Place,
    /// Its values.
    pub shape: Shape,
    /// True if a request without it is refused.
    pub is_required: bool,
    /// Its meaning, for people.
    pub about: &'static str,
}

impl Parameter {
    const fn new(name: &'static str, place: Place, shape: Shape, about: &'static str) -> Self {
        Self { name, place, shape, is_required: matches!(place, Place::Path), about }
    }

    const fn query(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self::new(name, Place::Query, shape, about)
    }

    const fn member(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self::new(name, Place::Body, shape, about)
    }

    const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }
}

const fn text(least: usize, most: usize, form: &'static str) -> Shape {
    Shape::Text { least, most, form }
}

const fn number(least: i64, most: i64, default: Option<i64>) -> Shape {
    Shape::Number { least, most, default }
}

/// Entries of a page, at most.
pub const MAX_PAGE_LEN: u32 = 1_000;
/// Stored alerts that an event stream begins with, at most.
pub const MAX_RECENT: u32 = 1_000;
/// Length of a timeline in minutes, at most: one day.
pub const MAX_MINUTES: u16 = 1_440;
/// Incidents that one request changes, at most.
pub const MAX_CHANGED: usize = 1_000;
/// Characters of a note, at most.
pub const MAX_NOTE_LEN: usize = 2_000;
/// Characters of a search, at most.
pub const MAX_QUERY_LEN: usize = 200;
/// Words of a search, at most.
pub const MAX_WORDS: usize = 8;
/// Groups of one sensor or account, at most.
pub const MAX_GROUPS: usize = 32;
/// Characters of an `Idempotency-Key`, at most.
pub const MAX_IDEMPOTENCY_KEY_LEN: usize = 100;
/// Characters of a cursor, at most: a sensor's name in hexadecimal digits, and a check.
pub const MAX_CURSOR_LEN: usize = 160;
/// Characters of a password or a code that is looked at, at most.
const MAX_SECRET_LEN: usize = 1_024;
/// Characters of a text that names a sensor, a user or a key; what is longer names none.
const MAX_NAMING_LEN: usize = 128;
/// Bytes of the longest address in a token (RFC 1035 section 2.3.4, and a port).
const MAX_ADDRESS_LEN: usize = 262;

fn kinds() -> Vec<&'static str> {
    Kind::ALL.map(Kind::name).into()
}

fn severities() -> Vec<&'static str> {
    Severity::ALL.map(Severity::name).into()
}

fn states() -> Vec<&'static str> {
    IncidentState::ALL.map(IncidentState::name).into()
}

fn phases() -> Vec<&'static str> {
    IncidentPhase::ALL.map(IncidentPhase::name).into()
}

fn roles() -> Vec<&'static str> {
    Role::ALL.map(Role::name).into()
}

/// Form of names, for people.
pub const NAME_FORM: &str = "1 to 48 letters, digits and . _ -, not a number, and no - at the start";
const PASSWORD: Shape = text(1, MAX_SECRET_LEN, "the password");
/// Form of new passwords, for people.
pub const PASSWORD_FORM: &str = "12 characters or more, not the name";
const NEW_PASSWORD: Shape = text(1, MAX_SECRET_LEN, PASSWORD_FORM);
const CODE: Shape = text(0, MAX_SECRET_LEN, "a code");

pub(super) const LIMIT: Parameter =
    Parameter::query("limit", number(1, 1_000, Some(100)), "Entries of the page");
pub(super) const SENSORS_LIMIT: Parameter = Parameter::query(
    "limit",
    number(1, 1_000, None),
    "Entries of the page; without it and a cursor all are given",
);
pub(super) const CURSOR: Parameter =
    Parameter::query("cursor", Shape::Cursor, "Position: `next` of the page before, with the same filters");
pub(super) const AFTER: Parameter =
    Parameter::query("after", number(0, i64::MAX, None), "Oldest first, after the alert of this id");
pub(super) const SENSOR: Parameter = Parameter::query(
    "sensor",
    text(1, MAX_NAMING_LEN, "name, number or public key of a sensor"),
    "Only of this sensor",
);
pub(super) const KIND: Parameter = Parameter::query("kind", Shape::Choices(kinds), "Only of these kinds");
pub(super) const SEVERITY: Parameter =
    Parameter::query("severity", Shape::Choices(severities), "Only of these severities");
pub(super) const STATES: Parameter =
    Parameter::query("state", Shape::Choices(states), "Only incidents in these states");
pub(super) const PHASE: Parameter =
    Parameter::query("phase", Shape::Choices(phases), "Only incidents in these phases");
pub(super) const SINCE: Parameter = Parameter::query("since", Shape::Time, "From this packet time on");
pub(super) const UNTIL: Parameter = Parameter::query("until", Shape::Time, "Before this packet time");
pub(super) const SRC: Parameter = Parameter::query("src", Shape::Network, "Only with this source");
pub(super) const DST: Parameter = Parameter::query("dst", Shape::Network, "Only with this destination");
pub(super) const SEARCH: Parameter = Parameter::query(
    "q",
    text(0, MAX_QUERY_LEN, "up to 8 words, 200 characters"),
    "Words that all have to occur; an address or network is one of the incident",
);
pub(super) const MINUTES: Parameter =
    Parameter::query("minutes", number(1, 1_440, Some(60)), "Length of the timeline");
pub(super) const RECENT: Parameter =
    Parameter::query("recent", number(0, 1_000, Some(0)), "Stored alerts to begin with");
pub(super) const LAST_EVENT: Parameter =
    Parameter::query("last_event_id", number(0, i64::MAX, None), "Resume after this alert");
pub(super) const LAST_EVENT_HEADER: Parameter = Parameter::new(
    "Last-Event-ID",
    Place::Header,
    number(0, i64::MAX, None),
    "Resume after this alert; wins over last_event_id",
);

pub(super) const INCIDENT_ID: Parameter =
    Parameter::new("id", Place::Path, number(1, i64::MAX, None), "Id of an incident");
pub(super) const SENSOR_PATH: Parameter = Parameter::new(
    "sensor",
    Place::Path,
    text(1, MAX_NAMING_LEN, "name, number or public key of a sensor"),
    "The sensor",
);
pub(super) const NAME_PATH: Parameter =
    Parameter::new("name", Place::Path, text(1, MAX_NAMING_LEN, "a name"), "The name");

pub(super) const STATE: Parameter = Parameter::member("state", Shape::Choice(states), "New state");
pub(super) const NOTE: Parameter = Parameter::member(
    "note",
    text(1, MAX_NOTE_LEN, "1 to 2000 characters without control characters but line ends"),
    "Note to add",
);
pub(super) const IDS: Parameter =
    Parameter::member("ids", Shape::Rows(MAX_CHANGED), "Ids of incidents").required();
pub(super) const NEW_NAME: Parameter =
    Parameter::member("name", text(1, MAX_NAMING_LEN, NAME_FORM), "New name").required();
pub(super) const SENSOR_NAME: Parameter = Parameter::member(
    "name",
    text(0, MAX_NAMING_LEN, NAME_FORM),
    "Name of the sensor; it chooses one if there is none",
);
pub(super) const ADDRESS: Parameter = Parameter::member(
    "address",
    text(1, MAX_ADDRESS_LEN, "HOST:PORT"),
    "Address at which the sensor reaches the collector",
)
.required();
pub(super) const USER: Parameter =
    Parameter::member("name", text(1, MAX_NAMING_LEN, NAME_FORM), "Name of the user").required();
pub(super) const PRESENT_PASSWORD: Parameter =
    Parameter::member("password", PASSWORD, "Present password").required();
pub(super) const FIRST_PASSWORD: Parameter =
    Parameter::member("password", NEW_PASSWORD, "New password").required();
pub(super) const OTHER_PASSWORD: Parameter = Parameter::member("password", NEW_PASSWORD, "New password");
pub(super) const NEXT_PASSWORD: Parameter =
    Parameter::member("new_password", NEW_PASSWORD, "New password").required();
pub(super) const ONE_TIME_CODE: Parameter = Parameter::member("code", CODE, "One-time code");
pub(super) const FIRST_CODE: Parameter =
    Parameter::member("code", CODE, "Code that `init` or `users code` has printed").required();
pub(super) const ALL: Parameter = Parameter::member("all", Shape::Flag, "True for every log-in of the user");
pub(super) const ROLE: Parameter = Parameter::member("role", Shape::Choice(roles), "Rights");
pub(super) const FIRST_ROLE: Parameter = ROLE.required();
pub(super) const GROUPS: Parameter =
    Parameter::member("groups", Shape::Names(MAX_GROUPS, true), "Groups of sensors; null for every sensor");
pub(super) const FIRST_GROUPS: Parameter = GROUPS.required();
pub(super) const SENSOR_GROUPS: Parameter =
    Parameter::member("groups", Shape::Names(MAX_GROUPS, false), "Groups of the sensor").required();
pub(super) const TOTP: Parameter =
    Parameter::member("totp", Shape::Flag, "False takes the one-time codes away");
pub(super) const KEY_TIME: Parameter = Parameter::member(
    "expires",
    Shape::Span(Duration::from_secs(3_650 * 86_400)),
    "Validity; without an end if it is not given",
);
pub(super) const TOKEN_TIME: Parameter = Parameter::member(
    "expires",
    Shape::Span(Duration::from_secs(365 * 86_400)),
    "Validity; 24h if it is not given",
);

/// Parameter of each operation that makes or does something.
pub const IDEMPOTENCY_KEY: Parameter = Parameter::new(
    "Idempotency-Key",
    Place::Header,
    text(1, MAX_IDEMPOTENCY_KEY_LEN, "1 to 100 visible ASCII characters"),
    "A request that is repeated with it is not done again",
);
pub(super) const IF_MATCH: Parameter = Parameter::new(
    "If-Match",
    Place::Header,
    text(1, MAX_NAMING_LEN, "the ETag of an answer, or *"),
    "Changes only what still has this ETag",
);

const _: () = assert!(MAX_NAME_LEN == 48); // said by `NAME_FORM`
