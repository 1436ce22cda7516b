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

#[cfg(test)]
mod tests {
    use super::*;
    use fedrobust::record::{RoundRow, Scores};

    fn plan() -> Plan {
        let run =
            |point: usize| format!(r#"{{ "point": {point}, "seed": 1, "rounds": 3, "fingerprint": "{point:032}" }}"#);
        let text = format!(
            r#"{{ "format": 3, "name": "x", "question": "?", "metric": "macro-f1", "multilabel": false, "classes": 3,
            "seeds": [1], "rounds": 3, "grids": [],
            "points": [{{ "strategy": "a", "settings": [] }}, {{ "strategy": "b", "settings": [] }},
            {{ "strategy": "c", "settings": [] }}], "runs": [{}, {}, {}] }}"#,
            run(0),
            run(1),
            run(2)
        );
        serde_json::from_str(&text).unwrap()
    }

    fn row(round: usize, score: f64) -> RoundRow {
        RoundRow {
            round,
            train_loss: None,
            clients: 2,
            skipped: 0,
            samples: 20,
            excluded: 0,
            byzantine: 0,
            stayed: 0,
            bytes: 0,
            dev: None,
            test: Some(Scores { macro_f1: Some(score), ..Scores::default() }),
            attack_success: None,
            epsilon: None,
            epsilon_fixed: None,
            seconds: 0.1,
        }
    }

    #[test]
    fn a_sweep_that_goes_on_counts_what_is_left_and_knows_the_cells_of_before() {
        let plan = plan();
        let mut progress = Progress::new(true, &plan);
        let left = |progress: &Progress| progress.bar.length().unwrap() - progress.bar.position();
        progress.event(&Event::Started { runs: 3, done: 1, rounds: 6 });
        assert_eq!((left(&progress), progress.cells.ends(&plan)), (6, None));
        progress.event(&Event::Before { run: 0, rows: vec![row(3, 0.9)], stop: Some(Stop::Finished) });
        progress.event(&Event::Before { run: 1, rows: vec![row(1, 0.5), row(2, 0.4)], stop: None });
        assert_eq!(left(&progress), 4);
        assert_eq!(progress.cells.ends(&plan), Some(("0.900  a".into(), "0.400  b".into())));
        progress.event(&Event::Round { run: 1, row: Box::new(row(3, 0.6)) });
        progress.event(&Event::Round { run: 2, row: Box::new(row(1, 0.7)) });
        assert_eq!(left(&progress), 2);
        progress.event(&Event::Ended { run: 2, label: "c".into(), stop: Stop::Diverged { round: 1 } });
        assert_eq!((left(&progress), progress.done), (0, 2));
        assert_eq!(progress.cells.ends(&plan), Some(("0.900  a".into(), "0.000  c".into())));
    }

    #[test]
    fn a_run_that_fails_takes_its_rounds_off_what_is_left() {
        let plan = plan();
        let mut progress = Progress::new(true, &plan);
        progress.event(&Event::Started { runs: 2, done: 0, rounds: 6 });
        progress.event(&Event::Round { run: 0, row: Box::new(row(1, 0.5)) });
        let stop = Stop::Failed { round: 2, message: "why".into() };
        progress.event(&Event::Ended { run: 0, label: "a".into(), stop });
        assert_eq!(progress.bar.length().unwrap() - progress.bar.position(), 3);
    }
}
