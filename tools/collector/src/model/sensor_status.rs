//! A sensor as lists show it: the stored part, its state with causes, and its session.

use super::{Problem, Sensor, SensorState, SessionInfo, Sight, Standing};

/// A sensor, its state and its session.
#[derive(Clone, Debug)]
pub struct SensorStatus {
    /// The stored part.
    pub sensor: Sensor,
    /// State of enrollment and connection: that of the first problem.
    pub state: SensorState,
    /// Reasons against "connected", the worst first.
    pub problems: Vec<Problem>,
    /// Session with this process, if one is established.
    pub session: Option<SessionInfo>,
    /// Figures of its readings in this process.
    pub sight: Option<Sight>,
}

impl SensorStatus {
    /// Status as the running collector knows it.
    #[must_use]
    pub fn of_process(sensor: Sensor, standing: Standing) -> Self {
        if sensor.revoked_at.is_some() {
            return Self { problems: revoked(), ..Self::bare(sensor, SensorState::Revoked) };
        }
        let problems = standing.problems(&sensor);
        let state = problems.first().map_or(SensorState::Connected, |problem| problem.state);
        Self { sensor, state, problems, session: standing.session, sight: standing.sight }
    }

    /// Status as another process reads it from the store.
    #[must_use]
    pub fn of_store(sensor: Sensor) -> Self {
        let (state, problems) = match (sensor.revoked_at, sensor.last_seen_at) {
            (Some(_), _) => (SensorState::Revoked, revoked()),
            (None, Some(_)) => (SensorState::Seen, Vec::new()),
            (None, None) => (SensorState::NeverConnected, Vec::new()),
        };
        Self { problems, ..Self::bare(sensor, state) }
    }

    const fn bare(sensor: Sensor, state: SensorState) -> Self {
        Self { sensor, state, problems: Vec::new(), session: None, sight: None }
    }
}

fn revoked() -> Vec<Problem> {
    let next = "to admit it again, enroll it with a new token";
    vec![Problem { state: SensorState::Revoked, cause: "shut out by an operator".into(), next }]
}
