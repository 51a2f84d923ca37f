//! The binary: reads the command line, does what it says, and says what went wrong.

use std::process::ExitCode;

use clap::Parser;
use inventory_api::command_line::CommandLine;

fn main() -> ExitCode {
    match inventory_api::run::run(CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("inventory: {error}");
            ExitCode::FAILURE
        }
    }
}
