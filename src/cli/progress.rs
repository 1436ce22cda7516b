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
            Event::Before { run, rows, stop } => {
                rows.iter().for_each(|row| self.cells.take(self.plan, *run, row));
                match stop {
                    Some(stop) if stop.diverged() => self.cells.diverged(*run),
                    Some(_) => {}
                    None => self.need_not_play(rows.len()),
                }
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
                        self.need_not_play(self.plan.runs[*run].rounds.saturating_sub(*round));
                        self.cells.diverged(*run);
                        self.bar.println(format!("diverged in round {round}: {label}"));
                    }
                    Stop::Failed { round, message } => {
                        // The round that failed was not counted.
                        self.need_not_play((self.plan.runs[*run].rounds + 1).saturating_sub(*round));
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

    /// Takes rounds that were announced off what is left.
    fn need_not_play(&self, rounds: usize) {
        self.bar.set_length(self.bar.length().unwrap_or_default().saturating_sub(rounds as u64));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
