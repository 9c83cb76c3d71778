//! The description of the interface, and whether an answer is as it says.

use serde_json::Value;

/// Path of the golden file.
pub(crate) const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

/// Schema of the object of this name.
pub(crate) fn object(description: &Value, name: &str) -> Value {
    let schema = &description["components"]["schemas"][name];
    assert!(schema.is_object(), "{name} is not described");
    schema.clone()
}

/// Differences of `value` and `schema`, a subset of JSON Schema: `$ref`, `anyOf`, `type`, `enum`, `properties`, `required`,
/// `additionalProperties` and `items`.
pub(crate) fn differences(description: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return differences(description, &object(description, name), value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let tried: Vec<Vec<String>> =
            choices.iter().map(|choice| differences(description, choice, value, at)).collect();
        return if tried.iter().any(Vec::is_empty) { Vec::new() } else { tried.concat() };
    }
    let is_of_type = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("null") => value.is_null(),
        other => panic!("{at}: a schema of type {other:?}"),
    };
    if !is_of_type {
        return vec![format!("{at} is no {}: {value}", schema["type"])];
    }
    let mut found = Vec::new();
    if schema["enum"].as_array().is_some_and(|names| !names.contains(value)) {
        found.push(format!("{at} is none of the names: {value}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(differences(description, &schema["items"], item, &format!("{at}[{index}]")));
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let of_name = &schema["properties"][name];
        let of_all = &schema["additionalProperties"];
        let at = format!("{at}.{name}");
        if of_name.is_object() {
            found.extend(differences(description, of_name, member, &at));
        } else if of_all.is_object() {
            found.extend(differences(description, of_all, member, &at));
        } else if *of_all != Value::Bool(true) {
            found.push(format!("{at} is not described"));
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at}.{name} is missing"));
        }
    }
    found
}
