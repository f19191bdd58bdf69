//! Runs the benchmark: `cargo run --release -p cku-learner --example bench -- [worlds] [commits folder] [threads]
//! [seed] [folder to write to]`. The report goes to standard output, or as Markdown, JSON and plots into the folder.

use std::{path::PathBuf, sync::OnceLock, time::Instant};

use cku_learner::bench::{self, BenchSettings};

fn nanoseconds() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let worlds = arguments.next().and_then(|worlds| worlds.parse().ok());
    let commits = arguments.next().map(PathBuf::from);
    let threads = arguments.next().and_then(|threads| threads.parse().ok()).unwrap_or(1);
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let settings = BenchSettings {
        worlds: worlds.unwrap_or(BenchSettings::quick().worlds),
        commits,
        threads,
        seed,
        clock: Some(nanoseconds),
    };
    let report = bench::run(&settings, &|at| {
        eprintln!("{:>6.1} s  {} of {}: {}", nanoseconds() as f64 / 1e9, at.done + 1, at.of, at.measure);
    });
    eprintln!("{:>6.1} s", nanoseconds() as f64 / 1e9);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        print!("{}", bench::markdown(&report));
        return Ok(());
    };
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("report.md"), bench::markdown(&report))?;
    std::fs::write(folder.join("report.json"), serde_json::to_vec_pretty(&report)?)?;
    for (name, plot) in bench::plots(&report) {
        std::fs::write(folder.join(name), plot)?;
    }
    Ok(())
}
