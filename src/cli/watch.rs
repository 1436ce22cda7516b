//! `fedrobust watch`: how a sweep stands, from another terminal.

use super::{WatchArguments, say};
use fedrobust::fault::{Error, Result};
use fedrobust::report::standing::Standing;
use std::io::IsTerminal;
use std::time::Duration;

/// Prints how the sweep stands, again and again until it has ended or nobody runs it.
pub fn watch(arguments: &WatchArguments) -> Result<u8> {
    if !(arguments.every > 0.0 && arguments.every <= 86_400.0) {
        return Err(Error::Invalid(format!(
            "--every {}: is out of range; allowed: seconds above 0, up to 86400",
            arguments.every
        )));
    }
    let terminal = std::io::stdout().is_terminal();
    loop {
        let standing = Standing::read(&arguments.dir)?;
        // On a terminal the text stays in one place.
        let clear = if terminal && !arguments.once { "\x1b[2J\x1b[H" } else { "" };
        say(&format!("{clear}{}", standing.text().trim_end()));
        if arguments.once || standing.done() || !standing.under_way {
            return Ok(0);
        }
        std::thread::sleep(Duration::from_secs_f64(arguments.every));
    }
}
