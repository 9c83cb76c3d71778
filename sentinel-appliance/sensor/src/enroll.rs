//! `sentinel enroll TOKEN`: makes this sensor known to a collector.

use sentinel_uplink::Token;

use crate::clock::Clock;
use crate::control::host_name;
use crate::failure::Failure;
use crate::identity::{self, Collector};
use crate::link;
use crate::settings::Settings;

/// Enrols under `name` (the host name if `None`) and remembers the collector. A running sensor notices within
/// seconds, or at once with SIGHUP.
pub(crate) fn enroll(token: &str, name: Option<&str>, settings: &Settings) -> Result<(), Failure> {
    let clock = Clock::start();
    let token: Token = token.trim().parse().map_err(|error| Failure::new(format!("token: {error}")))?;
    identity::private_directory(&settings.state_dir)?;
    let keys = identity::sensor_key(&settings.state_dir)?;
    let host = host_name();
    let name = name.unwrap_or(&host);
    let cipher = settings.uplink_cipher.into();
    let (id, name) = smol::block_on(link::enroll(&keys, &token, name, cipher, &clock))?;
    let collector = Collector { address: token.address().to_owned(), key: *token.collector() };
    identity::store_collector(&settings.state_dir, &collector)?;
    println!("enrolled as '{name}' (sensor {id}) at {}", collector.address);
    Ok(())
}
