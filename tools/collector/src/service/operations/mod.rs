//! The operations: each declared once, with name, method, path, callers, audit, parameters and answer.
//!
//! Transports make routes, the checks of permissions and parameters, lines of the audit and their description from this table. An
//! operation that is not in it cannot be served.

mod answer;
pub mod parameter;

pub use answer::Answer;
pub use parameter::{Parameter, Place, Shape};

use Answer::Object;
use parameter as of;

use crate::model::Role;

/// Method of an operation on HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes or does something.
    Post,
    /// Changes something.
    Patch,
    /// Removes something.
    Delete,
}

impl Method {
    /// Name in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Callers for whom an operation is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Needs {
    /// Everybody, also without a log-in.
    Nothing,
    /// A client on the collector's own machine, or an account that may see every sensor: what cannot be divided by sensors.
    LocalOrEverySensor,
    /// An account with at least this role. Of sensors outside its groups it learns nothing.
    Role(Role),
    /// An account with at least this role that may see every sensor.
    RoleForEverySensor(Role),
    /// A user who has logged in with a password; no key.
    User,
}

/// Declaration of one operation.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// The operation.
    pub operation: Operation,
    /// Its name in every interface, and in the audit.
    pub name: &'static str,
    /// Its purpose, for people.
    pub about: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path; a part in braces is a parameter.
    pub path: &'static str,
    /// Callers.
    pub needs: Needs,
    /// True if each attempt is a line of the audit.
    pub is_audited: bool,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// Its answer.
    pub answer: Answer,
}

macro_rules! operations {
    ($(#[doc = $about:literal] $operation:ident $name:literal $method:ident $path:literal $needs:expr, $audited:ident, [$($parameter:expr),*] -> $answer:expr;)*) => {
        /// The operations that need permission.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Operation { $(#[doc = $about] $operation,)* }

        /// Every operation.
        pub const OPERATIONS: &[Declaration] = &[$(Operation::$operation.declaration(),)*];

        impl Operation {
            /// Its declaration.
            #[must_use]
            pub const fn declaration(self) -> Declaration {
                match self { $(Self::$operation => Declaration {
                    operation: Self::$operation,
                    name: $name,
                    about: $about.trim_ascii(),
                    method: Method::$method,
                    path: $path,
                    needs: $needs,
                    is_audited: $audited,
                    parameters: &[$($parameter),*],
                    answer: $answer,
                },)* }
            }
        }
    };
}

const VIEWER: Needs = Needs::Role(Role::Viewer);
const ANALYST: Needs = Needs::Role(Role::Analyst);
const ADMIN: Needs = Needs::RoleForEverySensor(Role::Admin);

operations! {
    /// Read the ability to store and read alerts.
    Health "health" Get "/health" Needs::Nothing, false, [] -> Object("Health");
    /// Read the figures for monitoring.
    Metrics "metrics" Get "/metrics" Needs::LocalOrEverySensor, false, [] -> Answer::Metrics;
    /// Read the description of this interface.
    Describe "openapi" Get "/api/v1/openapi.json" VIEWER, false, [] -> Answer::Description;
    /// Read stored alerts.
    ListAlerts "list_alerts" Get "/api/v1/alerts" VIEWER, false,
        [of::SENSOR, of::KIND, of::SEVERITY, of::SINCE, of::UNTIL, of::LIMIT, of::CURSOR, of::AFTER] -> Object("AlertPage");
    /// Search incidents.
    ListIncidents "list_incidents" Get "/api/v1/incidents" VIEWER, false,
        [of::SEARCH, of::STATES, of::PHASE, of::KIND, of::SEVERITY, of::SENSOR, of::SRC, of::DST, of::SINCE, of::UNTIL, of::LIMIT, of::CURSOR]
        -> Object("IncidentPage");
    /// Read one incident.
    ShowIncident "show_incident" Get "/api/v1/incidents/{id}" VIEWER, false, [of::INCIDENT_ID] -> Object("IncidentDetail");
    /// Read the messages of one incident.
    ListMessages "list_messages" Get "/api/v1/incidents/{id}/messages" VIEWER, false, [of::INCIDENT_ID, of::LIMIT, of::CURSOR]
        -> Object("MessagePage");
    /// Set the state of an incident, or add a note.
    ChangeIncident "change_incident" Patch "/api/v1/incidents/{id}" ANALYST, true, [of::INCIDENT_ID, of::STATE, of::NOTE, of::IF_MATCH]
        -> Object("IncidentDetail");
    /// Set states of incidents, or add a note to them.
    ChangeIncidents "change_incidents" Post "/api/v1/incidents/actions" ANALYST, true, [of::IDS, of::STATE, of::NOTE]
        -> Object("ChangedIncidents");
    /// Read the sensors and their state.
    ListSensors "list_sensors" Get "/api/v1/sensors" VIEWER, false, [of::SENSORS_LIMIT, of::CURSOR] -> Object("SensorPage");
    /// Read one sensor and the states that it has had.
    ShowSensor "show_sensor" Get "/api/v1/sensors/{sensor}" VIEWER, false, [of::SENSOR_PATH] -> Object("SensorDetail");
    /// Read totals and the timeline.
    Stats "stats" Get "/api/v1/stats" VIEWER, false, [of::MINUTES] -> Object("Stats");
    /// Receive events.
    Subscribe "events" Get "/api/v1/events" VIEWER, false,
        [of::RECENT, of::LAST_EVENT, of::LAST_EVENT_HEADER, of::SEARCH, of::STATES, of::PHASE, of::KIND, of::SEVERITY, of::SENSOR, of::SRC,
         of::DST, of::SINCE, of::UNTIL] -> Answer::Events;
    /// Log in with a password.
    LogIn "login" Post "/api/v1/login" Needs::Nothing, true, [of::USER, of::PRESENT_PASSWORD, of::ONE_TIME_CODE] -> Object("Opened");
    /// Set the password of an administrator with a one-time code, and log in.
    SetAdministrator "set_administrator" Post "/api/v1/administrator" Needs::Nothing, true,
        [of::FIRST_CODE, of::USER, of::FIRST_PASSWORD] -> Object("Opened");
    /// End the own log-in, or all of them.
    LogOut "logout" Post "/api/v1/logout" Needs::User, true, [of::ALL] -> Answer::Nothing;
    /// Read who is logged in.
    Me "me" Get "/api/v1/me" Needs::Nothing, false, [] -> Object("Me");
    /// Change the own password.
    ChangePassword "change_password" Post "/api/v1/me/password" Needs::User, true, [of::PRESENT_PASSWORD, of::NEXT_PASSWORD]
        -> Answer::Nothing;
    /// Offer a secret for one-time codes, or put it in force by a code of it.
    SetTotp "set_totp" Post "/api/v1/me/totp" Needs::User, true, [of::PRESENT_PASSWORD, of::ONE_TIME_CODE]
        -> Answer::ObjectOrNothing("OfferedTotp");
    /// Do without one-time codes.
    RemoveTotp "remove_totp" Delete "/api/v1/me/totp" Needs::User, true, [of::PRESENT_PASSWORD] -> Answer::Nothing;
    /// Read the users.
    ListUsers "list_users" Get "/api/v1/users" ADMIN, false, [] -> Object("Users");
    /// Make a user.
    AddUser "add_user" Post "/api/v1/users" ADMIN, true, [of::NEW_NAME, of::FIRST_PASSWORD, of::FIRST_ROLE, of::FIRST_GROUPS]
        -> Answer::Created;
    /// Change the rights or the password of a user, or take its one-time codes away.
    ChangeUser "change_user" Patch "/api/v1/users/{name}" ADMIN, true,
        [of::NAME_PATH, of::OTHER_PASSWORD, of::ROLE, of::GROUPS, of::TOTP] -> Answer::Nothing;
    /// Remove a user.
    RemoveUser "remove_user" Delete "/api/v1/users/{name}" ADMIN, true, [of::NAME_PATH] -> Answer::Nothing;
    /// End every log-in of a user.
    EndLogIns "end_logins" Delete "/api/v1/users/{name}/logins" ADMIN, true, [of::NAME_PATH] -> Object("Ended");
    /// Read the API keys.
    ListKeys "list_keys" Get "/api/v1/keys" ADMIN, false, [] -> Object("Keys");
    /// Make an API key.
    AddKey "add_key" Post "/api/v1/keys" ADMIN, true, [of::NEW_NAME, of::FIRST_ROLE, of::FIRST_GROUPS, of::KEY_TIME]
        -> Answer::CreatedObject("NewKey");
    /// Remove an API key.
    RemoveKey "remove_key" Delete "/api/v1/keys/{name}" ADMIN, true, [of::NAME_PATH] -> Answer::Nothing;
    /// Make a token that enrolls a sensor.
    Enroll "enroll" Post "/api/v1/tokens" ADMIN, true, [of::SENSOR_NAME, of::ADDRESS, of::TOKEN_TIME] -> Answer::CreatedObject("NewToken");
    /// Put a sensor into groups.
    SetGroups "set_groups" Patch "/api/v1/sensors/{sensor}" ADMIN, true, [of::SENSOR_PATH, of::SENSOR_GROUPS] -> Answer::Nothing;
    /// Revoke a sensor.
    Revoke "revoke" Delete "/api/v1/sensors/{sensor}" ADMIN, true, [of::SENSOR_PATH] -> Answer::Nothing;
    /// Let a sensor replace its key.
    RotateKey "rotate_key" Post "/api/v1/sensors/{sensor}/rotate" ADMIN, true, [of::SENSOR_PATH] -> Answer::Nothing;
    /// Take note of unclean runs.
    Acknowledge "acknowledge_runs" Post "/api/v1/sensors/{sensor}/acknowledge" ADMIN, true, [of::SENSOR_PATH] -> Answer::Nothing;
    /// Read the audit.
    ReadAudit "audit" Get "/api/v1/audit" ADMIN, false, [of::LIMIT, of::CURSOR] -> Object("AuditPage");
}

impl Declaration {
    /// Its parameters with those that every operation of its method has.
    pub fn all_parameters(&self) -> impl Iterator<Item = Parameter> + use<> {
        let common = (self.method == Method::Post).then_some(of::IDEMPOTENCY_KEY);
        self.parameters.iter().copied().chain(common)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_one_name_and_one_place() {
        for (index, declared) in OPERATIONS.iter().enumerate() {
            assert_eq!(declared.operation.declaration().name, declared.name);
            for other in &OPERATIONS[index + 1..] {
                assert_ne!(declared.name, other.name);
                assert!((declared.method, declared.path) != (other.method, other.path), "{}", other.name);
            }
        }
    }

    #[test]
    fn parameters_are_named_once_and_the_path_has_its_own() {
        for declared in OPERATIONS {
            let all: Vec<Parameter> = declared.all_parameters().collect();
            for (index, one) in all.iter().enumerate() {
                let is_other = |other: &Parameter| (other.name, other.place) != (one.name, one.place);
                assert!(all[index + 1..].iter().all(is_other), "{} {}", declared.name, one.name);
                let is_in_path = declared.path.contains(&format!("{{{}}}", one.name));
                assert!(one.place != Place::Path || is_in_path, "{} {}", declared.name, one.name);
                assert!(one.place != Place::Body || declared.method != Method::Get, "{}", declared.name);
            }
            let in_path = all.iter().filter(|one| one.place == Place::Path).count();
            assert_eq!(in_path, declared.path.matches('{').count(), "{}", declared.name);
        }
    }

    #[test]
    fn whatever_changes_something_is_audited_and_for_somebody() {
        for declared in OPERATIONS.iter().filter(|declared| declared.method != Method::Get) {
            assert!(declared.is_audited, "{}", declared.name);
            let is_for_all = declared.needs == Needs::Nothing;
            assert!(
                !is_for_all || ["login", "set_administrator"].contains(&declared.name),
                "{}",
                declared.name
            );
        }
    }
}
