//! Accounts: users by name or number, and the change to one.

use std::fmt;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// User and its main group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Account {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// Account of the root user.
pub const ROOT: Account = Account { user: 0, group: 0 };

impl Account {
    /// Finds `name` in the text of `/etc/passwd`. `USER:GROUP`, both decimal, needs no line there.
    ///
    /// The file alone is read, because a static program has no modules for other directories of users.
    #[must_use]
    pub fn find(name: &str, passwd: &str) -> Option<Self> {
        if let Some((user, group)) = name.split_once(':') {
            return Some(Self { user: number(user)?, group: number(group)? });
        }
        let mut lines = passwd.lines().map(|line| line.split(':'));
        let mut line = lines.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let _password = line.next();
        Some(Self { user: number(line.next()?)?, group: number(line.next()?)? })
    }

    /// Returns true for root, in any namespace of users.
    #[must_use]
    pub const fn is_root(self) -> bool {
        self.user == 0
    }

    /// Effective user and group of this process.
    #[must_use]
    pub fn current() -> Self {
        Self { user: rustix::process::geteuid().as_raw(), group: rustix::process::getegid().as_raw() }
    }

    /// Makes this the real, effective and saved user and group of the calling thread, and clears the supplementary groups.
    ///
    /// Capabilities are lost with the user id, unless
    /// [`keep_through_change`](crate::capability::keep_through_change) was called.
    ///
    /// # Errors
    /// [`ChangeError`]; then earlier steps hold.
    pub fn assume(self) -> Result<(), ChangeError> {
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        let failed = |step| move |errno| ChangeError { step, errno };
        // Groups first: afterwards the thread may not change them any more.
        set_thread_groups(&[]).map_err(failed("setgroups"))?;
        set_thread_res_gid(group, group, group).map_err(failed("setresgid"))?;
        set_thread_res_uid(user, user, user).map_err(failed("setresuid"))
    }
}

/// `uid:gid`
impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.user, self.group)
    }
}

/// Name of user `id` in the text of `/etc/passwd`.
#[must_use]
pub fn name_of(id: u32, passwd: &str) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (number(fields.nth(1)?)? == id).then_some(name)
    })
}

/// Decimal digits only: `parse` would take a sign, and `u32::MAX` means "no change" to the kernel.
fn number(text: &str) -> Option<u32> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_decimal && *number != u32::MAX)
}

/// The kernel refused a step of the change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChangeError {
    /// System call.
    pub step: &'static str,
    /// Its error.
    pub errno: Errno,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.step, self.errno)
    }
}

impl std::error::Error for ChangeError {}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/ash\nsentinel:x:4096:4097::/var:/bin/false\nbad:x:-1:+1:::\nshort:x\n";

    #[test]
    fn accounts_are_found_by_name_and_by_number() {
        assert_eq!(Account::find("sentinel", PASSWD), Some(Account { user: 4096, group: 4097 }));
        assert_eq!(Account::find("root", PASSWD), Some(ROOT));
        assert_eq!(Account::find("65000:65001", ""), Some(Account { user: 65_000, group: 65_001 }));
        for wrong in
            ["sent", "sentinel:", "bad", "short", "", ":", "1:", "-1:1", "4294967295:1", "1:4294967295"]
        {
            assert_eq!(Account::find(wrong, PASSWD), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_have_names() {
        assert_eq!(name_of(4096, PASSWD), Some("sentinel"));
        assert_eq!(name_of(4097, PASSWD), None);
    }
}
