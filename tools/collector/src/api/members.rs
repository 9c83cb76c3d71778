//! The body of a request: a JSON object whose members are declared.

use axum::body::{self, Body};
use serde_json::{Map, Value};

use super::Problem;
use crate::http::HttpLimit;

/// Longest body, in bytes.
pub(super) const MAX_LEN: usize = 16 * 1024;

/// Members of the body of one request. Each is removed when it is read.
pub(super) struct Members {
    given: Map<String, Value>,
}

impl Members {
    /// Reads the body; an empty one has no members.
    ///
    /// # Errors
    /// A body that is too long, is no JSON object, or has a member that is not in `known`.
    pub(super) async fn read(body: Body, known: &[&str]) -> Result<Self, Problem> {
        let bytes = body::to_bytes(body, MAX_LEN).await.map_err(|_| {
            Problem::limit(HttpLimit::Body, "the body is cut off, or too long")
                .allowed([format!("{MAX_LEN} bytes")])
        })?;
        if bytes.is_empty() {
            return Ok(Self { given: Map::new() });
        }
        let given: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::parameter("body", format!("the body is no JSON object: {error}"))
                .allowed(known.iter().copied())
        })?;
        if let Some(name) = given.keys().find(|name| !known.contains(&name.as_str())) {
            let name: String = name.chars().take(60).collect();
            let error = format!("there is no member {name:?} here");
            return Err(Problem::parameter(&name, error).allowed(known.iter().copied()));
        }
        Ok(Self { given })
    }

    /// A text that has to be there.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Problem> {
        let text = self.optional_text(name)?;
        text.ok_or_else(|| Problem::parameter(name, format!("{name} is missing")).allowed(["a text"]))
    }

    /// A text; none for `null` as well.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.given.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::parameter(name, format!("{name} is no text")).allowed(["a text"])),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.given.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Problem::parameter(name, format!("{name} is no flag")).allowed(["true", "false"])),
        }
    }

    /// An array of texts; `Some(None)` for `null`, none if it is missing.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Option<Vec<String>>>, Problem> {
        let wrong = || {
            Problem::parameter(name, format!("{name} is no list of names")).allowed(["[\"name\"]", "null"])
        };
        match self.given.remove(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::Array(items)) => {
                let text = |item: Value| if let Value::String(text) = item { Ok(text) } else { Err(wrong()) };
                Ok(Some(Some(items.into_iter().map(text).collect::<Result<_, _>>()?)))
            }
            Some(_) => Err(wrong()),
        }
    }
}
