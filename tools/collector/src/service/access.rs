//! Authorisation: decided here for every operation, whatever the transport.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::operations::{Needs, Operation};
use crate::clock;
use crate::model::{Account, AccountId, AuditEntry, Groups, Role, Whence};

/// The party that a transport makes a request for. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Operator: can read the key of the database, on the command line of the collector's machine.
    Operator,
    /// Client on the collector's machine, where that needs no log-in, with the role that the operator gave to such clients.
    Loopback(Role),
    /// Has not logged in.
    Nobody {
        /// Address of the client.
        address: IpAddr,
        /// True if it is on the collector's machine.
        is_local: bool,
    },
    /// Has logged in, or sent a key.
    Account(Arc<LoggedIn>),
}

/// An account, and where it comes from.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The account, as it was when the request came.
    pub account: Account,
    /// Address of the client.
    pub address: IpAddr,
    /// True if it is on the collector's machine.
    pub is_local: bool,
    /// SHA-256 of the session cookie; none for a key.
    pub log_in: Option<[u8; 32]>,
}

impl Caller {
    /// Rights; none without a log-in.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Operator => Some(Role::Admin),
            Self::Loopback(role) => Some(*role),
            Self::Nobody { .. } => None,
            Self::Account(logged_in) => Some(logged_in.account.role),
        }
    }

    /// Groups of sensors to which the caller is limited; none for every sensor.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        match self {
            Self::Account(logged_in) => &logged_in.account.groups,
            Self::Operator | Self::Loopback(_) | Self::Nobody { .. } => &None,
        }
    }

    /// Row number of the user who has logged in.
    #[must_use]
    pub fn user(&self) -> Option<i64> {
        match self {
            Self::Account(logged_in) => match logged_in.account.id {
                AccountId::User(id) => Some(id),
                AccountId::Key(_) => None,
            },
            Self::Operator | Self::Loopback(_) | Self::Nobody { .. } => None,
        }
    }

    /// Place of the caller.
    #[must_use]
    pub fn whence(&self) -> Whence {
        match self {
            Self::Operator => Whence::CommandLine,
            Self::Loopback(_) => Whence::Address(IpAddr::from([127, 0, 0, 1])),
            Self::Nobody { address, .. } => Whence::Address(*address),
            Self::Account(logged_in) => Whence::Address(logged_in.address),
        }
    }

    /// Name for the audit and for notes.
    #[must_use]
    pub fn who(&self) -> String {
        match self {
            Self::Operator => format!("operator {}", operator_name()),
            Self::Loopback(_) => "loopback".into(),
            Self::Nobody { .. } => "nobody".into(),
            Self::Account(logged_in) => match logged_in.account.id {
                AccountId::User(_) => format!("user {}", logged_in.account.name),
                AccountId::Key(_) => format!("key {}", logged_in.account.name),
            },
        }
    }

    /// A line of the audit about what the caller did.
    #[must_use]
    pub fn entry(&self, operation: Operation, detail: String, result: String) -> AuditEntry {
        let what = operation.declaration().name.into();
        AuditEntry { at: clock::now(), who: self.who(), whence: self.whence(), what, detail, result }
    }

    fn is_local(&self) -> bool {
        match self {
            Self::Operator | Self::Loopback(_) => true,
            Self::Nobody { is_local, .. } => *is_local,
            Self::Account(logged_in) => logged_in.is_local,
        }
    }
}

/// User who runs the command, behind sudo if need be: for the record, not for authorisation.
#[must_use]
pub fn operator_name() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.map_or_else(|| "unknown".into(), |name| crate::log::printable(&name).chars().take(64).collect())
}

/// The caller may not perform this operation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forbidden {
    /// The operation.
    pub operation: Operation,
    /// True if a log-in would help, or another one.
    pub needs_log_in: bool,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let declared = self.operation.declaration();
        write!(out, "{} ", declared.name)?;
        match (self.needs_log_in, declared.needs) {
            (true, _) => out.write_str("needs a log-in, or a key in X-API-Key"),
            (false, Needs::Role(role)) => write!(out, "needs the role {role}"),
            (false, Needs::RoleForEverySensor(role)) => write!(out, "needs the role {role} for every sensor"),
            (false, Needs::LocalOrEverySensor | Needs::Nothing) => {
                out.write_str("needs an account for every sensor")
            }
            (false, Needs::User) => out.write_str("needs a user who has logged in with a password"),
        }
    }
}

impl std::error::Error for Forbidden {}

/// Returns an error if `caller` must not perform `operation`, as its declaration says.
///
/// # Errors
/// [`Forbidden`].
pub fn authorize(caller: &Caller, operation: Operation) -> Result<(), Forbidden> {
    let sees_every_sensor = caller.groups().is_none();
    let has = |least: Role| caller.role().is_some_and(|role| role >= least);
    let is_allowed = match operation.declaration().needs {
        Needs::Nothing => true,
        Needs::LocalOrEverySensor => caller.is_local() || (has(Role::Viewer) && sees_every_sensor),
        Needs::Role(least) => has(least),
        Needs::RoleForEverySensor(least) => has(least) && sees_every_sensor,
        Needs::User => caller.user().is_some(),
    };
    let needs_log_in = caller.role().is_none();
    if is_allowed { Ok(()) } else { Err(Forbidden { operation, needs_log_in }) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::service::OPERATIONS;

    fn account(role: Role, groups: Groups, id: AccountId) -> Caller {
        let account = Account { id, name: "anna".into(), role, groups };
        let address = [192, 0, 2, 1].into();
        Caller::Account(Arc::new(LoggedIn { account, address, is_local: false, log_in: None }))
    }

    fn allowed(caller: &Caller) -> BTreeSet<&'static str> {
        let allowed = OPERATIONS.iter().filter(|declared| authorize(caller, declared.operation).is_ok());
        allowed.map(|declared| declared.name).collect()
    }

    #[test]
    fn strangers_may_log_in_and_nothing_else() {
        let nobody = Caller::Nobody { address: [192, 0, 2, 1].into(), is_local: false };
        assert_eq!(allowed(&nobody), BTreeSet::from(["health", "login", "me", "set_administrator"]));
        let local = Caller::Nobody { address: [127, 0, 0, 1].into(), is_local: true };
        let more: Vec<_> = allowed(&local).difference(&allowed(&nobody)).copied().collect();
        assert_eq!(more, ["metrics"]);
    }

    #[test]
    fn each_role_has_the_rights_of_the_one_before() {
        let of = |role| allowed(&account(role, None, AccountId::User(1)));
        for pair in Role::ALL.windows(2) {
            assert!(of(pair[0]).is_subset(&of(pair[1])), "{pair:?}");
        }
        assert_eq!(of(Role::Admin).len(), OPERATIONS.len());
        assert!(!of(Role::Operator).contains("add_user") && of(Role::Viewer).contains("list_alerts"));
    }

    #[test]
    fn a_limited_account_manages_nothing_and_reads_no_metrics() {
        let groups = Some(BTreeSet::from(["wien".to_owned()]));
        let limited = allowed(&account(Role::Admin, groups, AccountId::User(1)));
        for name in ["add_user", "audit", "metrics", "revoke", "enroll", "add_key"] {
            assert!(!limited.contains(name), "{name}");
        }
        assert!(limited.contains("list_alerts") && limited.contains("logout"));
    }

    #[test]
    fn a_key_and_loopback_have_no_password_to_change() {
        for caller in
            [account(Role::Admin, None, AccountId::Key(1)), Caller::Loopback(Role::Admin), Caller::Operator]
        {
            for operation in [Operation::ChangePassword, Operation::SetTotp, Operation::LogOut] {
                assert!(authorize(&caller, operation).is_err(), "{caller:?}");
            }
        }
    }
}
