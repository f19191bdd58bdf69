//! A program that supervises a command, as cku does with a hidden subcommand; for tests.

fn main() -> std::process::ExitCode {
    cku_skills::supervise()
}
