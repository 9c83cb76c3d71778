//! Description of the interface (`OpenAPI` 3.1.0), made from the table of operations and from [`super::schema`].
//!
//! By hand: the annotations of utoipa stand at handlers and at types with a derived serialisation. They would be a second table of
//! paths, methods and parameters beside the one that routes and checks, and the answers are written without such types.

use serde_json::{Map, Value, json};

use super::schema::{names, reference, schemas};
use crate::service::{Answer, Declaration, Needs, OPERATIONS, Parameter, Place, Shape};

/// The description, as JSON.
#[must_use]
pub fn description() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for declared in OPERATIONS {
        let path = paths.entry(declared.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(declared.method.name().to_ascii_lowercase(), operation(declared));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sentinel-collector",
            "version": "1",
            "description": "Alerts, incidents and sensors. Times are UTC. What is not visible to an account does not exist for it.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                "login": { "type": "apiKey", "in": "cookie", "name": "__Host-sentinel" },
            },
        },
    })
}

fn operation(declared: &Declaration) -> Value {
    let parameters: Vec<Value> =
        declared.all_parameters().filter(|one| one.place != Place::Body).map(|one| parameter(&one)).collect();
    let mut object = json!({
        "operationId": declared.name,
        "summary": declared.about,
        "parameters": parameters,
        "responses": responses(declared),
        "security": security(declared.needs),
        "x-needs": needs(declared.needs),
        "x-audited": declared.is_audited,
    });
    let members: Vec<&Parameter> =
        declared.parameters.iter().filter(|one| one.place == Place::Body).collect();
    if let (false, Some(object)) = (members.is_empty(), object.as_object_mut()) {
        object.insert("requestBody".into(), body(&members));
    }
    object
}

fn parameter(one: &Parameter) -> Value {
    let place = match one.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header | Place::Body => "header",
    };
    let mut object = json!({
        "name": one.name,
        "in": place,
        "required": one.is_required,
        "description": one.about,
        "schema": shape(one.shape),
    });
    // `a,b`, not `name=a&name=b`.
    if let (Shape::Choices(_), Some(object)) = (one.shape, object.as_object_mut()) {
        object.insert("style".into(), "form".into());
        object.insert("explode".into(), false.into());
    }
    object
}

fn body(members: &[&Parameter]) -> Value {
    let required: Vec<&str> = members.iter().filter(|one| one.is_required).map(|one| one.name).collect();
    let property = |one: &&Parameter| {
        let mut schema = shape(one.shape);
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".into(), one.about.into());
        }
        (one.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = members.iter().map(property).collect();
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    json!({ "required": !required.is_empty(), "content": { "application/json": { "schema": schema } } })
}

fn shape(shape: Shape) -> Value {
    match shape {
        Shape::Number { least, most, default } => {
            let mut schema = json!({ "type": "integer", "minimum": least, "maximum": most });
            if let (Some(default), Some(schema)) = (default, schema.as_object_mut()) {
                schema.insert("default".into(), default.into());
            }
            schema
        }
        Shape::Choice(all) => names(all),
        Shape::Choices(all) => {
            json!({ "type": "array", "items": names(all), "minItems": 1 })
        }
        Shape::Time => json!({ "type": "string", "examples": ["2025-05-15T10:30:00Z", "1747305000", "15m"] }),
        Shape::Span(most) => {
            json!({ "type": "string", "pattern": "^[0-9]+[smhd]$", "examples": ["24h", format!("{}d", most.as_secs() / 86_400)] })
        }
        Shape::Network => json!({ "type": "string", "examples": ["192.0.2.7", "2001:db8::/32"] }),
        Shape::Cursor => json!({ "type": "string" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Text { least, most, .. } => json!({ "type": "string", "minLength": least, "maxLength": most }),
        Shape::Names(most, false) => {
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": most })
        }
        Shape::Names(most, true) => {
            json!({ "type": ["array", "null"], "items": { "type": "string" }, "maxItems": most })
        }
        Shape::Rows(most) => {
            json!({ "type": "array", "items": { "type": "integer" }, "minItems": 1, "maxItems": most })
        }
    }
}

fn responses(declared: &Declaration) -> Value {
    let mut all = Map::new();
    let json = |name: &str| json!({ "application/json": { "schema": reference(name) } });
    let content = match declared.answer {
        Answer::Nothing | Answer::Created => None,
        Answer::Object(name) | Answer::CreatedObject(name) | Answer::ObjectOrNothing(name) => {
            Some(json(name))
        }
        Answer::Events => Some(json!({ "text/event-stream": { "schema": { "type": "string" }, "x-events": {
            "alert": reference("Alert"), "sensor": reference("SensorEvent"),
        } } })),
        Answer::Metrics => {
            Some(json!({ "application/openmetrics-text": { "schema": { "type": "string" } } }))
        }
        Answer::Description => Some(json!({ "application/json": { "schema": { "type": "object" } } })),
    };
    let mut done = json!({ "description": "Done" });
    if let (Some(content), Some(done)) = (content, done.as_object_mut()) {
        done.insert("content".into(), content);
    }
    all.insert(declared.answer.status().to_string(), done);
    if matches!(declared.answer, Answer::ObjectOrNothing(_)) {
        all.insert("204".into(), json!({ "description": "Done, and nothing to say" }));
    }
    if declared.operation == crate::service::Operation::Health {
        all.insert(
            "503".into(),
            json!({ "description": "Alerts cannot be stored or read", "content": json("Health") }),
        );
    }
    all.insert(
        "default".into(),
        json!({ "description": "Refused, with the reason", "content": json("Problem") }),
    );
    Value::Object(all)
}

fn security(needs: Needs) -> Value {
    match needs {
        Needs::Nothing => json!([]),
        Needs::User => json!([{ "login": [] }]),
        Needs::LocalOrEverySensor | Needs::Role(_) | Needs::RoleForEverySensor(_) => {
            json!([{ "key": [] }, { "login": [] }])
        }
    }
}

fn needs(needs: Needs) -> Value {
    match needs {
        Needs::Nothing => json!("nothing"),
        Needs::LocalOrEverySensor => json!("this machine, or an account for every sensor"),
        Needs::Role(role) => json!(role.name()),
        Needs::RoleForEverySensor(role) => json!(format!("{} for every sensor", role.name())),
        Needs::User => json!("a user who has logged in with a password"),
    }
}
