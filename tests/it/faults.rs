//! What the machine does to a run: folders that cannot be written, a full disk, a kill, a second sweep, divergence.

use super::support::{Asked, Bench, Ran, TINY};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The tiny scenario with so many rounds, and a checkpoint after each.
pub fn long(rounds: usize) -> String {
    TINY.replace("rounds = 3", &format!("rounds = {rounds}")).replace("seeds", "checkpoint-seconds = 0\nseeds")
}

/// Waits until something is so; tests of the time it takes would not hold on a busy machine.
pub fn wait_until(mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills its child in the end, whatever the test does.
pub struct Started(pub Child);

impl Started {
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        assert_eq!(self.0.wait().unwrap().code(), None, "it ended before it was killed");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn start(bench: &Bench, out: &str) -> Started {
    let mut command = bench.command(&["run", "x.toml", "--device", "cpu", "--out", out]);
    Started(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

#[test]
fn a_results_folder_that_cannot_be_written_is_refused_before_the_first_run() {
    let bench = Bench::new(TINY);
    bench.write("file", "");
    let said = |out: &str| {
        let ran = bench.ran(&["run", "x.toml", "--device", "cpu", "--out", out]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""));
        ran.err
    };
    assert_eq!(
        said("file/results"),
        "cannot make the results folder file/results: Not a directory (os error 20); a part of this path is a file: choose another folder (--out DIR)\n"
    );
    if Path::new("/proc/self").exists() {
        assert_eq!(
            said("/proc/results"),
            "cannot make the results folder /proc/results: No such file or directory (os error 2); choose a folder that you may write to (--out DIR)\n"
        );
    }
}

#[test]
fn a_second_sweep_on_one_folder_is_refused_and_hurts_nothing() {
    let bench = Bench::new(&long(100_000));
    let mut first = start(&bench, "out");
    wait_until(|| fs::read_to_string(bench.path("out/.lock")).is_ok_and(|owner| owner.ends_with('\n')));
    let ran = bench.ran(&["run", "x.toml", "--device", "cpu", "--out", "out"]);
    let err = format!(
        "the results folder out is in use by another fedrobust (process {}); wait until it has ended, or choose another folder (--out DIR)\n",
        first.0.id()
    );
    assert_eq!(ran, Ran { code: Some(3), out: String::new(), err });
    first.kill();
}

#[test]
fn a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed() {
    let bench = Bench::new(&long(60));
    bench.run("whole", &[]);
    for lines in [3, 40] {
        let mut killed = start(&bench, "killed");
        wait_until(|| rows(&bench.path("killed/runs")).iter().any(|rows| rows.len() > lines));
        killed.kill();
    }
    let rest = bench.run("killed", &["--threads", "1"]);
    assert_eq!(rest.err, "", "rows computed again equal the rows that were there");
    assert_eq!(bench.rounds("killed"), bench.rounds("whole"));
    assert_eq!(strip(&bench.read("killed/summary.csv")), strip(&bench.read("whole/summary.csv")));
    assert!(!any_file(&bench.path("killed/runs"), "checkpoint.safetensors"), "checkpoints go when a run ends");
}

fn strip(summary: &str) -> String {
    summary.lines().filter(|line| !line.contains("seconds")).collect::<Vec<_>>().join("\n")
}

/// The lines of every run's rounds, header left out.
pub fn rows(runs: &Path) -> Vec<Vec<String>> {
    let folders = fs::read_dir(runs).into_iter().flatten().flatten();
    let texts = folders.filter_map(|run| fs::read_to_string(run.path().join("rounds.csv")).ok());
    texts.map(|text| text.lines().skip(1).map(str::to_string).collect()).collect()
}

fn any_file(runs: &Path, name: &str) -> bool {
    fs::read_dir(runs).unwrap().any(|run| run.unwrap().path().join(name).exists())
}

/// A small disk of its own, where this machine lets us mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: PathBuf, size: &str) -> Option<Disk> {
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Disk(at))
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_loses_nothing_and_a_rerun_with_space_completes() {
    let bench = Bench::new(&long(250));
    let Some(disk) = Disk::mount(bench.path("disk"), "100k") else {
        eprintln!("skipped: this machine lets nobody mount a small disk");
        return;
    };
    let ran = bench.ran(&["run", "x.toml", "--device", "cpu", "--out", "disk/out"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{}", ran.err);
    let remedy = ": No space left on device (os error 28); free some space and run the same command again: what is finished is kept\n";
    assert!(ran.err.starts_with("cannot write disk/out/runs/") && ran.err.ends_with(remedy), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1);

    bench.run("whole", &[]);
    let whole = rows(&bench.path("whole/runs"));
    let kept = rows(&bench.path("disk/out/runs"));
    assert_eq!(kept.len(), 2);
    for rows in &kept {
        assert!(rows.len() > 20 && rows.len() < 250, "{} rows", rows.len());
        let untimed = |rows: &[String]| -> Vec<String> {
            rows.iter().map(|row| row.rsplit_once(',').unwrap().0.to_string()).collect()
        };
        assert!(whole.iter().any(|whole| untimed(whole).starts_with(&untimed(rows))), "every row is whole");
    }
    disk.resize("64m");
    assert_eq!(bench.run("disk/out", &[]).err, "");
    assert_eq!(bench.rounds("disk/out"), bench.rounds("whole"));
}

#[test]
fn a_run_that_diverges_is_told_with_round_and_point_and_the_others_go_on() {
    let bench = Bench::new(&format!("{TINY}\n[[grid]]\n\"train.optimizer.sgd.lr\" = [0.1, 1e20]\n"));
    let ran = bench.run("out", &[]);
    let expected = "diverged in round 2: train.optimizer.sgd.lr = 1e20, seed 1
diverged in round 2: train.optimizer.sgd.lr = 1e20, seed 2
";
    let mut lines: Vec<&str> = ran.err.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, expected.lines().collect::<Vec<_>>());
    let statuses: Vec<String> = super::support::table(&bench.read("out/runs.csv"))
        .iter()
        .map(|row| format!("{} {} {}", row["train.optimizer.sgd.lr"], row["status"], row["rounds"]))
        .collect();
    assert_eq!(statuses, ["0.1 finished 3", "0.1 finished 3", "1e20 diverged 2", "1e20 diverged 2"]);
    let again = bench.run("out", &[]);
    assert_eq!(again.err, "4 of 4 runs were finished before and are not repeated\n", "divergence is a result");
    // Interrupted after the round that was scored, whether runs go side by side or in turn.
    for rows in [1, 7] {
        let stopped = format!("stopped-{rows}");
        bench.sweep(&stopped, &Asked { rows: Some(rows), ..Asked::default() });
        bench.run(&stopped, &[]);
        assert_eq!(bench.tables(&stopped), bench.tables("out"), "stopped after {rows} rows");
    }
}
