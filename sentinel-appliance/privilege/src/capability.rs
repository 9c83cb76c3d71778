//! Capabilities of the calling thread, and of threads that it starts.
//!
//! Read first: `capabilities(7)`.

use rustix::io::Errno;
pub use rustix::thread::CapabilitySet;
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};

/// Lets the capabilities outlive a change of the user, once and for all: `SECBIT_NO_SETUID_FIXUP`. No user id means
/// anything for capabilities from then on, no program that is executed as root gets any, and ambient capabilities cannot be
/// raised. All of it is locked.
///
/// # Errors
/// Without `CAP_SETPCAP`.
pub fn keep_through_change() -> Result<(), Errno> {
    type Bits = CapabilitiesSecureBits;
    set_capabilities_secure_bits(
        Bits::NO_ROOT
            | Bits::NO_ROOT_LOCKED
            | Bits::NO_SETUID_FIXUP
            | Bits::NO_SETUID_FIXUP_LOCKED
            | Bits::KEEP_CAPS_LOCKED
            | Bits::NO_CAP_AMBIENT_RAISE
            | Bits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )
}

/// Empties the bounding set: no program that is executed can get a capability. Capabilities that the thread has stay.
///
/// # Errors
/// Without `CAP_SETPCAP`.
pub fn empty_bounding_set() -> Result<(), Errno> {
    for number in 0..64 {
        // The kernel refuses numbers past its last capability, and with that the set is empty.
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Err(Errno::INVAL) => break,
            outcome => outcome?,
        }
    }
    Ok(())
}

/// Keeps those of `kept` that the thread may have, as permitted and effective; none is inheritable or ambient.
///
/// # Errors
/// The error of the kernel.
pub fn reduce_to(kept: CapabilitySet) -> Result<(), Errno> {
    // A kernel before 4.3 has no ambient set, so nothing in it either.
    let _has_none = clear_ambient_capability_set();
    let before = capabilities(None)?;
    let kept = before.permitted & kept;
    let after = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    match set_capabilities(None, after) {
        // A filter of the supervisor may deny the call. Only a program that is executed would inherit what is left then.
        Err(Errno::PERM) if (before.effective, before.permitted) == (kept, kept) => Ok(()),
        outcome => outcome,
    }
}

/// No program that is executed gains privileges by its file, for good. Also the condition of a seccomp filter and of
/// Landlock without `CAP_SYS_ADMIN`.
///
/// # Errors
/// The error of the kernel.
pub fn no_new_privileges() -> Result<(), Errno> {
    set_no_new_privs(true)
}

/// Effective capabilities.
///
/// # Errors
/// The error of the kernel.
pub fn effective() -> Result<CapabilitySet, Errno> {
    capabilities(None).map(|sets| sets.effective)
}
