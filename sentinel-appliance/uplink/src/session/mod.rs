//! Both ends of a session.

mod collector;
mod sensor;

pub use collector::{CollectorEvent, CollectorSession};
pub use sensor::{SensorEvent, SensorSession};
