//! Serial console of the control thread: one task, which waits for the device, for alerts, and never for a reader.

use std::rc::Rc;
use std::time::Duration;

use embedded_io::Read;
use rustix::io::Errno;
use smol::{Async, Timer, future};

use crate::control::state::Shared;
use crate::control::status_socket;
use crate::serial::port::{Port, PortError};
use crate::terminal::log;

/// Time between two attempts to open the device again.
const REOPEN_INTERVAL: Duration = Duration::from_secs(10);
/// Pause after input: a paste is read at 13 KiB a second at most, whatever its rate.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes read at a time.
const INPUT_BYTES: usize = 256;
/// Time after which alerts that were left out are told.
const RETRY: Duration = Duration::from_secs(1);

/// Serves the device that the settings name, as long as the executor runs. It is `port` at first.
pub(crate) async fn run(shared: Rc<Shared>, mut port: Option<Port>) {
    let (path, speed) = {
        let settings = shared.settings.borrow();
        let Some(path) = settings.console_device.clone() else { return };
        (path, settings.console_speed)
    };
    loop {
        if let Some(port) = port.take() {
            shared.console_problem.replace(None);
            let problem = match Async::new(port) {
                Ok(device) => serve(&shared, device).await.to_string(),
                Err(error) => error.to_string(),
            };
            log::warn(format_args!("console {}: {problem}; waiting for it", path.display()));
            shared.console_problem.replace(Some(problem));
        }
        Timer::after(REOPEN_INTERVAL).await;
        match Port::open(&path, speed) {
            Ok(opened) => port = Some(opened),
            Err(problem) => drop(shared.console_problem.replace(Some(problem))),
        }
    }
}

/// Serves the device until it fails.
async fn serve(shared: &Shared, device: Async<Port>) -> PortError {
    loop {
        let (is_written, is_left_out) = match write(shared, device.get_ref()) {
            Ok(state) => state,
            Err(error) => return error,
        };
        let input = async {
            let _is_readable = device.readable().await;
            true
        };
        let output = async {
            if is_written {
                shared.wake_console.wait().await;
            } else {
                let _is_writable = device.writable().await;
                // One that is called writable and takes nothing is not asked without end.
                Timer::after(PAUSE).await;
            }
            false
        };
        let timer = async {
            if !is_left_out {
                future::pending::<()>().await;
            }
            Timer::after(RETRY).await;
            false
        };
        if future::or(future::or(input, output), timer).await {
            if let Err(error) = take_input(shared, device.get_ref()) {
                return error;
            }
            Timer::after(PAUSE).await;
        }
    }
}

/// Writes what waits, as far as the device takes it. Gives whether all is written, and whether alerts were left out and not told
/// yet.
fn write(shared: &Shared, mut device: &Port) -> Result<(bool, bool), PortError> {
    let mut console = shared.console.borrow_mut();
    let Some(console) = console.as_mut() else { return Ok((true, false)) };
    let lines = shared.settings.borrow().console_line_rate;
    let is_left_out = console.tell_unshown(lines, shared.clock.uptime());
    Ok((console.flush(&mut device)?, is_left_out))
}

/// Reads what came in, and prints the status if it is asked for.
fn take_input(shared: &Shared, mut device: &Port) -> Result<(), PortError> {
    let mut buffer = [0; INPUT_BYTES];
    let length = match device.read(&mut buffer) {
        // The other end is gone.
        Ok(0) => return Err(PortError(Errno::PIPE)),
        Err(PortError(Errno::AGAIN)) => 0,
        outcome => outcome?,
    };
    let bytes = buffer.get(..length).unwrap_or_default();
    let is_asked = shared
        .console
        .borrow_mut()
        .as_mut()
        .is_some_and(|console| console.input(bytes, shared.clock.uptime()));
    if is_asked {
        // Outside of the borrow: the answer has the counters of the console.
        let mut page = String::new();
        let answer = status_socket::answer(shared);
        if answer.is_some_and(|answer| (shared.status_page)(&answer, &mut page).is_ok())
            && let Some(console) = shared.console.borrow_mut().as_mut()
        {
            console.page(&page);
        }
    }
    Ok(())
}
