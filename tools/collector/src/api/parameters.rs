//! Parameters of a request, checked against their declarations: each known, each given once, each of its form and within its range.

use std::time::Duration;

use axum::http::HeaderMap;
use sentinel_units::{Prefix, Timestamp};
use serde_json::{Map, Value};

use super::Problem;
use super::problem::nearest;
use crate::service::parameter::MAX_CURSOR_LEN;
use crate::service::{Declaration, Parameter, Place, Shape};
use crate::time_text::{parse_rfc3339, parse_span};

/// Parts of a request that carry parameters, as they came.
pub(super) struct Received<'r> {
    pub(super) path: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: Map<String, Value>,
    /// Time from which spans are counted back.
    pub(super) now: Timestamp,
}

/// Checked parameters of one request. Each is removed when it is read.
#[derive(Debug)]
pub(super) struct Parameters {
    values: Vec<(&'static str, Checked)>,
    filter: String,
}

/// Value of a parameter.
#[derive(Debug)]
enum Checked {
    Number(i64),
    Names(Vec<&'static str>),
    Text(String),
    Time(Timestamp),
    Span(Duration),
    Network(Prefix),
    Flag(bool),
    /// None for `null`.
    List(Option<Vec<String>>),
    Rows(Vec<i64>),
}

impl Parameters {
    /// # Errors
    /// A parameter that is not declared, comes twice, is missing, or has another value than it may have.
    pub(super) fn check(declared: &Declaration, received: Received<'_>) -> Result<Self, Problem> {
        let Received { path, query, headers, mut body, now } = received;
        let all: Vec<Parameter> = declared.all_parameters().collect();
        let known = |place: Place| all.iter().filter(move |known| known.place == place).map(|one| one.name);
        check_names(&query, known(Place::Query).collect())?;
        if let Some(name) = body.keys().find(|name| !known(Place::Body).any(|known| known == name.as_str())) {
            return Err(unknown("member", name, known(Place::Body)));
        }
        let filter = filter_of(&query);
        let mut values = Vec::new();
        for parameter in &all {
            let value = match parameter.place {
                Place::Path => of_text(parameter, find(&path, parameter.name), now)
                    .map_err(|problem| problem.into_not_found(parameter.name))?,
                Place::Query => of_text(parameter, find(&query, parameter.name), now)?,
                Place::Header => of_text(parameter, header(headers, parameter)?, now)?,
                Place::Body => match body.remove(parameter.name) {
                    None => None,
                    Some(value) => of_json(parameter, value, now)?,
                },
            };
            match value.or_else(|| default(parameter)) {
                Some(value) => values.push((parameter.name, value)),
                None if parameter.is_required => {
                    let error = format!("{} is missing", parameter.name);
                    let problem = Problem::parameter(parameter.name, error).allowed(allowed(parameter));
                    return Err(match parameter.place {
                        Place::Path => problem.into_not_found(parameter.name),
                        Place::Query | Place::Body | Place::Header => problem.code("missing"),
                    });
                }
                None => {}
            }
        }
        Ok(Self { values, filter })
    }

    /// Parameters of the query that a cursor has to have in common with it: all but those of the page.
    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    fn take<T>(&mut self, name: &str, of: impl FnOnce(Checked) -> Option<T>) -> Option<T> {
        let index = self.values.iter().position(|(given, _)| *given == name)?;
        of(self.values.swap_remove(index).1)
    }

    /// A whole number; its default if it was not given.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, name: &str) -> Option<T> {
        self.take(
            name,
            |value| if let Checked::Number(number) = value { number.try_into().ok() } else { None },
        )
    }

    /// The text as it was given.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, |value| if let Checked::Text(text) = value { Some(text) } else { None })
    }

    /// An instant.
    pub(super) fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.take(name, |value| if let Checked::Time(time) = value { Some(time) } else { None })
    }

    /// A span.
    pub(super) fn span(&mut self, name: &str) -> Option<Duration> {
        self.take(name, |value| if let Checked::Span(span) = value { Some(span) } else { None })
    }

    /// An address or a network.
    pub(super) fn network(&mut self, name: &str) -> Option<Prefix> {
        self.take(name, |value| if let Checked::Network(network) = value { Some(network) } else { None })
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name, |value| if let Checked::Flag(flag) = value { Some(flag) } else { None })
    }

    /// A list of names; `Some(None)` for `null`.
    pub(super) fn list(&mut self, name: &str) -> Option<Option<Vec<String>>> {
        self.take(name, |value| if let Checked::List(list) = value { Some(list) } else { None })
    }

    /// A list of row numbers.
    pub(super) fn rows(&mut self, name: &str) -> Option<Vec<i64>> {
        self.take(name, |value| if let Checked::Rows(rows) = value { Some(rows) } else { None })
    }

    /// Members of a closed set, each once, in the order of the set: the text of a statement, which the store caches, is one of few.
    pub(super) fn choices<T: Copy>(
        &mut self,
        name: &str,
        all: &[T],
        label: impl Fn(T) -> &'static str,
    ) -> Vec<T> {
        let names =
            self.take(name, |value| if let Checked::Names(names) = value { Some(names) } else { None });
        let names = names.unwrap_or_default();
        all.iter().copied().filter(|choice| names.contains(&label(*choice))).collect()
    }
}

fn find(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone())
}

/// An empty field of the header is none.
fn header(headers: &HeaderMap, parameter: &Parameter) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(parameter.name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong(parameter, "bytes that are no text"))?;
    let is_left_out = text.is_empty() && matches!(parameter.shape, Shape::Number { .. });
    Ok((!is_left_out).then(|| text.to_owned()))
}

fn check_names(query: &[(String, String)], known: Vec<&'static str>) -> Result<(), Problem> {
    for (index, (name, _)) in query.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            return Err(unknown("parameter", name, known.into_iter()));
        }
        if query.iter().skip(index + 1).any(|(later, _)| later == name) {
            let error = format!("{name} is given twice");
            return Err(Problem::parameter(name, error).code("repeated").allowed(["once"]));
        }
    }
    Ok(())
}

fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str>) -> Problem {
    let name = shortened(name);
    let error = format!("there is no {what} {name:?} here");
    Problem::parameter(&name, error).code("unknown").allowed(known)
}

/// Filters of a query as one text, in one order.
fn filter_of(query: &[(String, String)]) -> String {
    let is_filter = |name: &str| !["cursor", "limit", "after"].contains(&name);
    let filters = query.iter().filter(|(name, _)| is_filter(name));
    let mut filters: Vec<String> = filters.map(|(name, value)| format!("{name}={value}")).collect();
    filters.sort_unstable();
    filters.join("&")
}

fn default(parameter: &Parameter) -> Option<Checked> {
    match parameter.shape {
        Shape::Number { default, .. } => default.map(Checked::Number),
        _ => None,
    }
}

fn of_text(parameter: &Parameter, text: Option<String>, now: Timestamp) -> Result<Option<Checked>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let value = match parameter.shape {
        Shape::Number { least, most, .. } => {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number.map(Checked::Number)
        }
        Shape::Choice(all) => {
            all().into_iter().find(|name| *name == text).map(|name| Checked::Names(vec![name]))
        }
        Shape::Choices(all) => return choices(parameter, &text, &all()).map(Some),
        Shape::Time => parse_time(&text, now).map(Checked::Time),
        Shape::Span(most) => {
            parse_span(&text).filter(|span| !span.is_zero() && *span <= most).map(Checked::Span)
        }
        Shape::Network => text.parse().ok().map(Checked::Network),
        Shape::Cursor => (text.len() <= MAX_CURSOR_LEN).then(|| Checked::Text(text.clone())),
        Shape::Flag => text.parse().ok().map(Checked::Flag),
        Shape::Text { least, most, .. } => {
            (least..=most).contains(&text.chars().count()).then(|| Checked::Text(text.clone()))
        }
        Shape::Names(..) | Shape::Rows(_) => None,
    };
    value.map(Some).ok_or_else(|| wrong(parameter, &text))
}

fn choices(parameter: &Parameter, text: &str, all: &[&'static str]) -> Result<Checked, Problem> {
    let name = parameter.name;
    let of = |part: &str| {
        all.iter().copied().find(|choice| *choice == part).ok_or_else(|| {
            Problem::parameter(name, format!("there is no {name} {:?}", shortened(part)))
                .allowed(nearest(part, all.iter().copied()))
        })
    };
    Ok(Checked::Names(text.split(',').map(of).collect::<Result<_, _>>()?))
}

/// A member of the body. `null` is a member that is not given, but where it says something.
fn of_json(parameter: &Parameter, value: Value, now: Timestamp) -> Result<Option<Checked>, Problem> {
    let given = value.to_string();
    match (parameter.shape, value) {
        (Shape::Names(_, true), Value::Null) => Ok(Some(Checked::List(None))),
        (_, Value::Null) => Ok(None),
        (Shape::Flag, Value::Bool(flag)) => Ok(Some(Checked::Flag(flag))),
        (Shape::Names(most, _), Value::Array(items)) if items.len() <= most => {
            let names: Option<Vec<String>> = items.into_iter().map(as_text).collect();
            names.map(|names| Some(Checked::List(Some(names)))).ok_or_else(|| wrong(parameter, &given))
        }
        (Shape::Rows(most), Value::Array(items)) if (1..=most).contains(&items.len()) => {
            let rows: Option<Vec<i64>> = items.iter().map(Value::as_i64).collect();
            rows.map(|rows| Some(Checked::Rows(rows))).ok_or_else(|| wrong(parameter, &given))
        }
        (Shape::Flag | Shape::Names(..) | Shape::Rows(_), _) => Err(wrong(parameter, &given)),
        (_, Value::String(text)) => of_text(parameter, Some(text), now),
        _ => Err(wrong(parameter, &given)),
    }
}

fn as_text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

fn wrong(parameter: &Parameter, given: &str) -> Problem {
    let Parameter { name, shape, .. } = parameter;
    let what = match shape {
        Shape::Number { .. } => "is not a number in range",
        Shape::Time => "is not a time",
        Shape::Span(_) => "is not a span in range",
        Shape::Network => "is no address or network",
        Shape::Cursor => "is no cursor",
        Shape::Flag => "is no flag",
        Shape::Choice(_) | Shape::Choices(_) => "is none of the names",
        Shape::Text { .. } => "is not as it has to be",
        Shape::Names(..) => "is no list of names",
        Shape::Rows(_) => "is no list of ids",
    };
    // A wrong password is not repeated either.
    let is_secret = parameter.place == Place::Body && matches!(shape, Shape::Text { .. });
    let error =
        if is_secret { format!("{name} {what}") } else { format!("{name} {what}: {:?}", shortened(given)) };
    Problem::parameter(name, error).allowed(allowed(parameter))
}

/// Values that a parameter may have, for people.
fn allowed(parameter: &Parameter) -> Vec<String> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match parameter.shape {
        Shape::Number { least, most, .. } => vec![format!("{least} to {most}")],
        Shape::Choice(all) | Shape::Choices(all) => texts(&all()),
        Shape::Time => texts(&[
            "RFC 3339 in UTC, such as 2025-05-15T10:30:00Z",
            "seconds since 1970, such as 1747305000",
            "a span before now, such as 90s, 15m, 24h or 7d",
        ]),
        Shape::Span(most) => vec!["30m".into(), "24h".into(), format!("up to {}d", most.as_secs() / 86_400)],
        Shape::Network => texts(&[
            "an address, such as 192.0.2.7 or 2001:db8::1",
            "a network, such as 192.0.2.0/24 or 2001:db8::/32",
        ]),
        Shape::Cursor => texts(&["next of the page before"]),
        Shape::Flag => texts(&["true", "false"]),
        Shape::Text { most, form, .. } => vec![form.to_owned(), format!("up to {most} characters")],
        Shape::Names(most, true) => vec![format!("a list of up to {most} names"), "null".into()],
        Shape::Names(most, false) => vec![format!("a list of up to {most} names")],
        Shape::Rows(most) => vec![format!("a list of 1 to {most} ids")],
    }
}

/// `text` cut to 60 characters: an answer does not repeat a request of any length.
pub(super) fn shortened(text: &str) -> String {
    const MAX_LEN: usize = 60;
    let mut short: String = text.chars().take(MAX_LEN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

fn parse_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Timestamp::from_parts(seconds, 0));
    }
    if let Some(span) = parse_span(text) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        return Some(Timestamp::from_nanos(now.as_nanos().saturating_sub(nanos)));
    }
    parse_rfc3339(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_times_are_rejected() {
        for text in [
            "",
            "Z",
            "now",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-05-15T24:00:00Z",
            "2025-05-15T10:30Z",
            "2025-05-15T10:30:00",
            "2025-5-15T10:30:00Z",
            "2025-05-15T10:30:00.1234567890Z",
            "2025-05-15T10:30:00+02:00",
            "+5s",
            "-5s",
            "s",
            "5w",
            "9é",
        ] {
            assert_eq!(parse_time(text, Timestamp::ZERO), None, "{text}");
        }
    }

    #[test]
    fn spans_count_back_from_now() {
        let now = Timestamp::from_parts(1_000_000, 0);
        assert_eq!(parse_time("15m", now), Some(Timestamp::from_parts(999_100, 0)));
        assert_eq!(parse_time("99999d", now), Some(Timestamp::ZERO));
        assert_eq!(parse_time("7", now), Some(Timestamp::from_parts(7, 0)));
    }
}
