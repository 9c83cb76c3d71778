//! Types that describe a detector and its settings.
//!
//! Each detector declares itself in its own file: a [`Detector`] and, with `thresholds!`, its thresholds by name. The table in
//! `detectors/mod.rs` collects the declarations; the settings parser, `sentinel config show`, the reference page and the
//! engine read them from there.

use sentinel_alert::{Kind, Severity};

/// Thresholds of one detector at most.
pub const MAX_THRESHOLDS: usize = 4;
/// Ports of a list setting at most.
pub const MAX_PORTS: usize = 32;

/// Declaration of one detector.
#[derive(Clone, Copy, Debug)]
pub struct Detector {
    /// The kind of its alerts; its name is also the name of its settings section.
    pub kind: Kind,
    /// Condition that it fires on, in one sentence.
    pub about: &'static str,
    /// Where the defaults come from.
    pub source: &'static str,
    /// Severity of its alerts unless configured.
    pub severity: Severity,
    /// Settings of its thresholds; [`DetectorConfig::thresholds`] has the values in the same order.
    pub thresholds: &'static [ThresholdSetting],
    /// Setting of its list of ports, if it has one.
    pub ports: Option<PortsSetting>,
}

/// Setting of one threshold.
#[derive(Clone, Copy, Debug)]
pub struct ThresholdSetting {
    /// Name of the setting.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Value unless configured.
    pub default: u32,
    /// Smallest value allowed.
    pub min: u32,
    /// Largest value allowed.
    pub max: u32,
    /// Effect of the value, in one sentence.
    pub help: &'static str,
}

/// Setting of a list of at most [`MAX_PORTS`] ports.
#[derive(Clone, Copy, Debug)]
pub struct PortsSetting {
    /// Name of the setting.
    pub name: &'static str,
    /// Ports unless configured.
    pub default: &'static [u16],
    /// Meaning of the list, in one sentence.
    pub help: &'static str,
}

/// The configured values of one detector.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DetectorConfig {
    /// False if it is switched off.
    pub enabled: bool,
    /// Severity of its alerts.
    pub severity: Severity,
    /// Values of [`Detector::thresholds`], in that order; the entries behind them are zero. Detectors read them by name.
    pub thresholds: [u32; MAX_THRESHOLDS],
    /// Value of [`Detector::ports`]; empty without one.
    pub ports: heapless::Vec<u16, MAX_PORTS>,
}

impl Detector {
    /// The configuration of a sensor nobody has configured.
    #[must_use]
    pub fn default_config(&self) -> DetectorConfig {
        let mut thresholds = [0; MAX_THRESHOLDS];
        for (value, setting) in thresholds.iter_mut().zip(self.thresholds) {
            *value = setting.default;
        }
        let mut ports = heapless::Vec::new();
        for port in self.ports.iter().flat_map(|ports| ports.default).take(MAX_PORTS) {
            let _fits_by_take = ports.push(*port);
        }
        DetectorConfig { enabled: true, severity: self.severity, thresholds, ports }
    }
}

/// Declares the thresholds of one detector: a struct with a field for each, and the settings of the same names and in the same
/// order. A value that is read by name cannot be mistaken for another.
macro_rules! thresholds {
    ($(#[$doc:meta])* $name:ident {
        $($field:ident: $unit:literal, default $default:literal, $min:literal to $max:expr, $help:literal;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name {
            $(pub(crate) $field: u32,)+
        }

        impl $name {
            pub(crate) const SETTINGS: &'static [$crate::registry::ThresholdSetting] = &[
                $($crate::registry::ThresholdSetting {
                    name: stringify!($field),
                    unit: $unit,
                    default: $default,
                    min: $min,
                    max: $max,
                    help: $help,
                },)+
            ];
        }

        impl From<&$crate::registry::DetectorConfig> for $name {
            fn from(config: &$crate::registry::DetectorConfig) -> Self {
                let [$($field,)+ ..] = config.thresholds;
                Self { $($field),+ }
            }
        }
    };
}
pub(crate) use thresholds;
