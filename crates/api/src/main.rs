//! The binary: reads the command line, does what it says, and says what went wrong.

use std::process::ExitCode;

use clap::Parser;
use inventory_api::command_line::CommandLine;
use tikv_jemallocator::Jemalloc;

/// A command is dozens of small allocations on one thread that another one frees; `benches/README.md` has the figures.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match inventory_api::run::run(CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("inventory: {error}");
            ExitCode::FAILURE
        }
    }
}
