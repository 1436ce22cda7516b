//! The recipes for cluster schedulers, run here with the variables that the schedulers set.

use super::support::{Bench, Ran, TINY};
use serde_yaml_ng::Value;
use std::path::Path;
use std::process::Command;

fn recipe(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cluster").join(name)
}

fn manifest() -> Value {
    serde_yaml_ng::from_str(&std::fs::read_to_string(recipe("kubernetes.yaml")).unwrap()).unwrap()
}

/// The path with our binary's folder in front.
fn path() -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_fedrobust")).parent().unwrap();
    format!("{}:{}", binary.display(), std::env::var("PATH").unwrap())
}

fn ends_well(command: &mut Command) {
    let output = command.env("PATH", path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_cluster_recipes_run_their_shards() {
    let bench = Bench::new(TINY);
    bench.run("whole", &[]);
    // The second as if it alone were repeated.
    for (task, count) in [("1", "2"), ("2", "1")] {
        let mut slurm = Command::new("bash");
        slurm.arg(recipe("slurm.sh")).args(["x.toml", "slurm"]).current_dir(bench.path("."));
        slurm.env("SLURM_ARRAY_TASK_ID", task).env("SLURM_ARRAY_TASK_COUNT", count).env("SLURM_CPUS_PER_TASK", "1");
        if count == "1" {
            slurm.env("SHARDS", "2");
        }
        ends_well(&mut slurm);
    }
    let container = &manifest()["spec"]["template"]["spec"]["containers"][0];
    let words = |key: &str| -> Vec<String> { serde_yaml_ng::from_value(container[key].clone()).unwrap() };
    let (command, arguments) = (words("command"), words("args"));
    for index in ["0", "1"] {
        let mut pod = Command::new(&command[0]);
        pod.args(&command[1..]).args(&arguments).current_dir(bench.path("."));
        pod.env("JOB_COMPLETION_INDEX", index).env("SHARDS", "2").env("SCENARIO", "x.toml").env("RESULTS", "pods");
        ends_well(&mut pod);
    }
    for parts in ["slurm", "pods"] {
        let [one, two] = ["1-of-2", "2-of-2"].map(|part| format!("{parts}-shards/{part}"));
        let ran = bench.ran(&["merge", &one, &two, "--out", parts]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(bench.tables(parts), bench.tables("whole"));
    }
}

/// Sends `slurm.sh` a signal while its sweep is at work, and prints the task's exit code and what it asked of SLURM.
const SIGNALLED: &str = r#"
printf '#!/bin/sh\ntrap "exit 130" TERM\necho $$ > at-work\nfor i in $(seq 200); do sleep 0.1; done\n' > sweep
printf '#!/bin/sh\necho "$*" > asked\n' > scontrol
chmod +x sweep scontrol
bash "$1" x.toml &
task=$!
for i in $(seq 400); do [ -s at-work ] && break; sleep 0.05; done
# scancel signals all that belongs to the task.
if [ "$2" = TERM ]; then kill -TERM "$task" "$(cat at-work)"; else kill -s "$2" "$task"; fi
code=0
wait "$task" || code=$?
echo "$code $(cat asked 2>/dev/null)"
"#;

#[test]
fn a_task_whose_time_is_up_is_queued_again_and_a_cancelled_one_is_not() {
    for (signal, outcome) in [("USR1", "130 requeue 7_3\n"), ("TERM", "130 \n")] {
        let bench = Bench::new(TINY);
        let mut shell = Command::new("bash");
        shell.args(["-c", SIGNALLED, "signalled"]).arg(recipe("slurm.sh")).arg(signal).current_dir(bench.path("."));
        shell.env("FEDROBUST", "./sweep").env("PATH", format!("{}:{}", bench.path("").display(), path()));
        shell.env("SLURM_ARRAY_JOB_ID", "7").env("SLURM_ARRAY_TASK_ID", "3").env("SLURM_ARRAY_TASK_COUNT", "4");
        let ran = Ran::from(shell.output().unwrap());
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), outcome), "{signal}: {}", ran.err);
    }
}

#[test]
fn slurm_itself_runs_the_array_and_queues_a_stopped_task_again() {
    let mut check = Command::new("python3");
    check.arg("-B").arg(recipe("try_slurm.py")).env("FEDROBUST", env!("CARGO_BIN_EXE_fedrobust"));
    match check.output() {
        Ok(output) => {
            let ran = Ran::from(output);
            match ran.code {
                Some(77) => eprint!("{}", ran.err),
                code => assert_eq!(code, Some(0), "{}", ran.err),
            }
        }
        Err(error) => eprintln!("skipped: there is no python3 ({error})"),
    }
}

#[test]
fn the_kubernetes_job_counts_as_its_shards_do() {
    let job = manifest();
    assert_eq!((job["apiVersion"].as_str(), job["kind"].as_str()), (Some("batch/v1"), Some("Job")));
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"].as_str(), Some("Indexed"));
    let pod = &spec["template"]["spec"];
    let environment = pod["containers"][0]["env"].as_sequence().unwrap();
    let shards = environment.iter().find(|variable| variable["name"].as_str() == Some("SHARDS")).unwrap();
    let shards: u64 = shards["value"].as_str().unwrap().parse().unwrap();
    assert_eq!((spec["completions"].as_u64(), spec["parallelism"].as_u64()), (Some(shards), Some(shards)));
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"), "podFailurePolicy asks for it");
    let names = |list: &Value| -> Vec<String> {
        list.as_sequence().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(names(&pod["volumes"]), names(&pod["containers"][0]["volumeMounts"]));
}
