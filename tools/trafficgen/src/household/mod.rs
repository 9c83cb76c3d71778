//! Households: ordinary networks, days long, as a stream of frames that are never held in memory.
//!
//! In: [`HouseholdParameters`]. Out: [`HouseholdFrame`]s in time order, each with the [`Behaviour`] that caused it, so that an alert
//! can be traced. The observer is the bridge of the router: it sees conversations within the household and those of its devices
//! with the Internet, but not what the provider's side drops.
//!
//! Rates, periods and sizes follow public measurements and standards, named at each behaviour. Two things are not as in life.
//! Downloads last a fraction of what they do (their rate and shape are kept): no test looks at the bytes that a device fetched, and
//! a day of television would be a hundred million frames. And payload beyond the first bytes of a message is not captured, as with
//! a snap length. Uploads have their full size.
//!
//! Memory: the occasions under way. The same parameters give the same frames.
//!
//! The map: `stream` merges what actors record, `scene` and `tcp` are their means, `frame` builds frames, `house` has addresses and
//! population; the other files are the actors by who causes them.

mod behaviour;
mod builder;
mod frame;
mod house;
mod link;
mod media;
mod office;
mod peers;
mod people;
mod population;
mod scene;
mod storage;
mod stream;
mod tcp;
mod things;
mod vpn;

pub use behaviour::Behaviour;
pub use frame::HouseholdFrame;
pub use house::HouseholdParameters;
pub use stream::Household;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn equal_parameters_give_equal_frames_in_time_order() {
        let parameters = HouseholdParameters { seed: 7, hours: 2, first_hour: 17 };
        let [one, other] = [Household::new(&parameters), Household::new(&parameters)];
        let mut last = None;
        for (frame, same) in one.zip(other).take(50_000) {
            assert_eq!(frame, same);
            assert!(last < Some(frame.at_us), "times are distinct and ascend");
            assert!(usize::try_from(frame.wire_len).unwrap() >= frame.bytes.len());
            last = Some(frame.at_us);
        }
    }

    #[test]
    fn every_behaviour_occurs_in_some_household() {
        let mut seen = BTreeSet::new();
        let mut last = None;
        for seed in 0..40 {
            let parameters = HouseholdParameters { seed, hours: 9, first_hour: 16 };
            for frame in Household::new(&parameters) {
                if last.replace(frame.behaviour) != Some(frame.behaviour) {
                    seen.insert(frame.behaviour);
                }
            }
            if seen.len() == Behaviour::ALL.len() {
                return;
            }
        }
        let missing: Vec<_> = Behaviour::ALL.iter().filter(|behaviour| !seen.contains(behaviour)).collect();
        panic!("{missing:?} in no household");
    }
}
