//! The report in a real browser: no error in its console, every image there, nothing wider than the window, on a phone and
//! on a desk.

use super::support::{Bench, TINY};
use std::process::Command;

const WIDTHS: [u32; 2] = [390, 1280];

/// A headless browser: `FEDROBUST_BROWSER`, or a Chromium on the path.
fn browser() -> Option<String> {
    let given = std::env::var("FEDROBUST_BROWSER").ok();
    let known = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map(String::from);
    let works = |name: &String| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
    given.into_iter().chain(known).find(works)
}

/// Shows the page in a frame of each width, and writes into its own text what it finds there.
fn probe(page: &str) -> String {
    let frame = |width: &u32| format!("<iframe src=\"{page}\" width=\"{width}\" height=\"900\"></iframe>\n");
    let frames: String = WIDTHS.iter().map(frame).collect();
    format!(
        "<!DOCTYPE html><html><body style=\"width:1400px\"><pre id=\"found\"></pre>{frames}<script>
addEventListener('load', () => {{
  const found = [...document.querySelectorAll('iframe')].map(frame => {{
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    const broken = images.filter(image => !image.complete || image.naturalWidth === 0).length;
    const shown = page.querySelectorAll('svg').length;
    return [frame.width, root.scrollWidth, images.length + shown, broken, page.querySelector('h1').textContent].join('|');
  }});
  document.getElementById('found').textContent = found.join(';');
}});
</script></body></html>"
    )
}

#[test]
fn the_report_is_whole_in_a_browser_on_a_phone_and_on_a_desk() {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium on the path, and FEDROBUST_BROWSER names no browser");
        return;
    };
    let grids = "\n[[grid]]\n\"corrupt.missing-modality.rate\" = [0.0, 0.2, 0.4, 0.6, 0.8]\nstrategy = [\"fedavg\", { fedprox = { mu = 0.1 } }, \"median\"]\n";
    let bench = Bench::new(&(TINY.replace("strategy = \"fedavg\"\n", "") + grids));
    bench.run("out", &[]);
    bench.write("probe.html", &probe("out/report.html"));
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=20000"]);
    command.arg(format!("--user-data-dir={}", bench.path("profile").display()));
    command
        .args(["--window-size=1500,1000", "--dump-dom"])
        .arg(format!("file://{}", bench.path("probe.html").display()));
    let output = command.output().unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
    let found = dom.split("<pre id=\"found\">").nth(1).unwrap_or_else(|| panic!("{dom}\n{log}"));
    let frames: Vec<Vec<&str>> = found.split('<').next().unwrap().split(';').map(|f| f.split('|').collect()).collect();
    assert_eq!(frames.len(), WIDTHS.len(), "{found}");
    for (frame, width) in frames.iter().zip(WIDTHS) {
        let number = |i: usize| frame[i].parse::<u32>().unwrap_or_else(|_| panic!("{frame:?}"));
        assert_eq!(number(0), width);
        assert!(number(1) <= width, "at {width} px the page is {} px wide", number(1));
        assert!(number(2) >= 4, "robustness, convergence, partition and heat map: {frame:?}");
        assert_eq!(number(3), 0, "images that did not load");
        assert_eq!(frame[4], "Does it run?");
    }
}
