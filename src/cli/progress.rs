//! Progress on standard error, where it is a terminal.

use fedrobust::record::{Event, Plan, Stop};
use fedrobust::report::standing::Cells;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over all rounds of a sweep, and under it the best and the worst cell so far.
pub struct Progress<'a> {
    bar: ProgressBar,
    plan: &'a Plan,
    cells: Cells,
    runs: usize,
    done: usize,
}

impl<'a> Progress<'a> {
    /// Hidden when `quiet` or when standard error is no terminal.
    pub fn new(quiet: bool, plan: &'a Plan) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = "{bar:32} {percent:>3} %  {prefix}  {per_sec} rounds  {elapsed} gone, {eta} left\n{wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("━╸─").with_key(
                "per_sec",
                |state: &indicatif::ProgressState, w: &mut dyn std::fmt::Write| {
                    let _ = write!(w, "{:.1}/s", state.per_sec());
                },
            ));
        }
        Self { bar, plan, cells: Cells::default(), runs: 0, done: 0 }
    }

    /// Takes in one event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Started { runs, done, rounds } => {
                (self.runs, self.done) = (*runs, *done);
                self.bar.set_length(*rounds as u64);
            }
            Event::Round { run, row } => {
                self.bar.inc(1);
                self.cells.take(self.plan, *run, row);
            }
            Event::Ended { run, label, stop } => {
                self.done += 1;
                match stop {
                    Stop::Finished => {}
                    Stop::Diverged { round } => {
                        self.cells.diverged(*run);
                        self.bar.println(format!("diverged in round {round}: {label}"));
                    }
                    Stop::Failed { round, message } => {
                        self.bar.println(format!("failed in round {round}: {label}: {message}"))
                    }
                }
            }
        }
        self.bar.set_prefix(format!("{} of {} runs", self.done, self.runs));
        if !self.bar.is_hidden()
            && let Some((best, worst)) = self.cells.ends(self.plan)
        {
            self.bar.set_message(format!("best {best}   worst {worst}"));
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
