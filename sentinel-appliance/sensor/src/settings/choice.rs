//! Settings that are one word of a few.

use sentinel_alert::Severity;

/// Text that names no value of a [`Choice`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct UnknownChoice;

/// Enumeration whose values have names in settings.
pub(super) trait Choice {
    /// Name of the value.
    fn chosen(&self) -> &'static str;
    /// Names of all values.
    fn choices(&self) -> Vec<&'static str>;
    /// Sets the value with this name.
    ///
    /// # Errors
    /// There is no such value; the old one stays.
    fn choose(&mut self, name: &str) -> Result<(), UnknownChoice>;
}

macro_rules! choice {
    ($type:ty) => {
        impl Choice for $type {
            fn chosen(&self) -> &'static str {
                self.name()
            }

            fn choices(&self) -> Vec<&'static str> {
                Self::ALL.iter().map(|value| value.name()).collect()
            }

            fn choose(&mut self, name: &str) -> Result<(), UnknownChoice> {
                *self = Self::ALL.into_iter().find(|value| value.name() == name).ok_or(UnknownChoice)?;
                Ok(())
            }
        }
    };
}

choice!(KernelSnap);
choice!(Severity);
choice!(Cipher);
choice!(LogLevel);
choice!(Sandbox);

/// Amount of each frame that the kernel copies into the ring.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum KernelSnap {
    /// Headers of bulk traffic, see [`sentinel_filter::content_snap`]; other frames up to `snap_bytes`.
    #[default]
    Content,
    /// Every frame up to `snap_bytes`.
    Off,
}

impl KernelSnap {
    const ALL: [Self; 2] = [Self::Content, Self::Off];

    /// Name in settings and machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Content => "content",
            Self::Off => "off",
        }
    }
}

/// Cipher of the uplink.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Cipher {
    /// AES-256-GCM: for CPUs with AES instructions.
    #[default]
    AesGcm,
    /// ChaCha20-Poly1305: for CPUs without.
    ChaChaPoly,
}

impl Cipher {
    const ALL: [Self; 2] = [Self::AesGcm, Self::ChaChaPoly];

    /// Name in settings and machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AesGcm => "aesgcm",
            Self::ChaChaPoly => "chachapoly",
        }
    }
}

impl From<Cipher> for sentinel_uplink::Cipher {
    fn from(cipher: Cipher) -> Self {
        match cipher {
            Cipher::AesGcm => Self::AesGcm,
            Cipher::ChaChaPoly => Self::ChaChaPoly,
        }
    }
}

/// Restriction of system calls and paths.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Sandbox {
    /// A system call that is not listed ends the program, which says its number.
    #[default]
    On,
    /// The kernel kills the program at a system call that is not listed.
    Strict,
    /// A system call that is not listed fails.
    Fail,
    /// No restriction.
    Off,
}

impl Sandbox {
    const ALL: [Self; 4] = [Self::On, Self::Strict, Self::Fail, Self::Off];

    /// Name in settings and machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Strict => "strict",
            Self::Fail => "fail",
            Self::Off => "off",
        }
    }
}

/// Lowest level of messages that are printed.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum LogLevel {
    /// Failures that an operator has to act on.
    Error,
    /// Losses and irregularities.
    Warn,
    /// Start, stop, reload, connection.
    #[default]
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// Name in settings and machine output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}
