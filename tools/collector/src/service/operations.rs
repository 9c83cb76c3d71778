//! The operations: each declared once, with name, method, path, parameters, least role, and whether it is audited.
//!
//! Transports take routes, documents and permissions from this table. An operation that is not in it is not served.

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
    /// Its method.
    pub method: Method,
    /// Its path; a part in braces is a parameter.
    pub path: &'static str,
    /// Parameters of the query, or members of the body.
    pub parameters: &'static [&'static str],
    /// Callers.
    pub needs: Needs,
    /// True if each attempt is a line of the audit.
    pub is_audited: bool,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $operation:ident $name:literal $method:ident $path:literal [$($parameter:literal),*] $needs:expr, $audited:ident;)*) => {
        /// The operations that need permission.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Operation { $($(#[$doc])* $operation,)* }

        /// Every operation.
        pub const OPERATIONS: &[Declaration] = &[$(Declaration {
            operation: Operation::$operation,
            name: $name,
            method: Method::$method,
            path: $path,
            parameters: &[$($parameter),*],
            needs: $needs,
            is_audited: $audited,
        },)*];

        impl Operation {
            /// Its declaration.
            #[must_use]
            pub const fn declaration(self) -> Declaration {
                match self { $(Self::$operation => Declaration {
                    operation: Self::$operation,
                    name: $name,
                    method: Method::$method,
                    path: $path,
                    parameters: &[$($parameter),*],
                    needs: $needs,
                    is_audited: $audited,
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
    Health "health" Get "/health" [] Needs::Nothing, false;
    /// Read the figures for monitoring.
    Metrics "metrics" Get "/metrics" [] Needs::LocalOrEverySensor, false;
    /// Read stored alerts.
    ListAlerts "list_alerts" Get "/api/v1/alerts" ["sensor", "kind", "severity", "since", "until", "limit", "cursor", "after"] VIEWER, false;
    /// Search incidents.
    ListIncidents "list_incidents" Get "/api/v1/incidents" ["q", "state", "phase", "kind", "severity", "sensor", "src", "dst", "since", "until", "limit", "cursor"] VIEWER, false;
    /// Read one incident.
    ShowIncident "show_incident" Get "/api/v1/incidents/{id}" [] VIEWER, false;
    /// Read the messages of one incident.
    ListMessages "list_messages" Get "/api/v1/incidents/{id}/messages" ["limit", "cursor"] VIEWER, false;
    /// Set the state of an incident, or add a note.
    ChangeIncident "change_incident" Patch "/api/v1/incidents/{id}" ["state", "note"] ANALYST, true;
    /// Set states of incidents, or add a note to them.
    ChangeIncidents "change_incidents" Post "/api/v1/incidents/actions" ["ids", "state", "note"] ANALYST, true;
    /// Read the sensors and their state.
    ListSensors "list_sensors" Get "/api/v1/sensors" [] VIEWER, false;
    /// Read totals and the timeline.
    Stats "stats" Get "/api/v1/stats" ["minutes"] VIEWER, false;
    /// Receive events.
    Subscribe "events" Get "/api/v1/events" ["recent", "last_event_id"] VIEWER, false;
    /// Log in with a password.
    LogIn "login" Post "/api/v1/login" ["name", "password", "code"] Needs::Nothing, true;
    /// Set the password of an administrator with a one-time code, and log in.
    SetAdministrator "set_administrator" Post "/api/v1/administrator" ["code", "name", "password"] Needs::Nothing, true;
    /// End the own log-in, or all of them.
    LogOut "logout" Post "/api/v1/logout" ["all"] Needs::User, true;
    /// Read who is logged in.
    Me "me" Get "/api/v1/me" [] Needs::Nothing, false;
    /// Change the own password.
    ChangePassword "change_password" Post "/api/v1/me/password" ["password", "new_password"] Needs::User, true;
    /// Offer a secret for one-time codes, or put it in force by a code of it.
    SetTotp "set_totp" Post "/api/v1/me/totp" ["password", "code"] Needs::User, true;
    /// Do without one-time codes.
    RemoveTotp "remove_totp" Delete "/api/v1/me/totp" ["password"] Needs::User, true;
    /// Read the users.
    ListUsers "list_users" Get "/api/v1/users" [] ADMIN, false;
    /// Make a user.
    AddUser "add_user" Post "/api/v1/users" ["name", "password", "role", "groups"] ADMIN, true;
    /// Change the rights or the password of a user, or take its one-time codes away.
    ChangeUser "change_user" Patch "/api/v1/users/{name}" ["password", "role", "groups", "totp"] ADMIN, true;
    /// Remove a user.
    RemoveUser "remove_user" Delete "/api/v1/users/{name}" [] ADMIN, true;
    /// End every log-in of a user.
    EndLogIns "end_logins" Delete "/api/v1/users/{name}/logins" [] ADMIN, true;
    /// Read the API keys.
    ListKeys "list_keys" Get "/api/v1/keys" [] ADMIN, false;
    /// Make an API key.
    AddKey "add_key" Post "/api/v1/keys" ["name", "role", "groups", "expires"] ADMIN, true;
    /// Remove an API key.
    RemoveKey "remove_key" Delete "/api/v1/keys/{name}" [] ADMIN, true;
    /// Make a token that enrolls a sensor.
    Enroll "enroll" Post "/api/v1/tokens" ["name", "address", "expires"] ADMIN, true;
    /// Put a sensor into groups.
    SetGroups "set_groups" Patch "/api/v1/sensors/{sensor}" ["groups"] ADMIN, true;
    /// Revoke a sensor.
    Revoke "revoke" Delete "/api/v1/sensors/{sensor}" [] ADMIN, true;
    /// Let a sensor replace its key.
    RotateKey "rotate_key" Post "/api/v1/sensors/{sensor}/rotate" [] ADMIN, true;
    /// Take note of unclean runs.
    Acknowledge "acknowledge_runs" Post "/api/v1/sensors/{sensor}/acknowledge" [] ADMIN, true;
    /// Read the audit.
    ReadAudit "audit" Get "/api/v1/audit" ["limit", "cursor"] ADMIN, false;
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
