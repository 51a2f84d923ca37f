//! The command line of a benchmark program: `--name value` pairs, and nothing else.

use std::collections::HashMap;
use std::env;
use std::fmt::Display;
use std::process;
use std::str::FromStr;

/// The flags that a program was started with.
#[derive(Debug)]
pub struct Flags {
    usage: &'static str,
    given: HashMap<String, String>,
}

impl Flags {
    /// Reads the process's arguments. `--help` prints `usage` and ends the process, and so does an argument that is not
    /// a flag of `names` with its value: what is mistyped must not run with a default.
    #[must_use]
    pub fn from_command_line(usage: &'static str, names: &[&str]) -> Self {
        let mut flags = Self { usage, given: HashMap::new() };
        let mut arguments = env::args().skip(1);
        while let Some(name) = arguments.next() {
            if name == "--help" {
                println!("{usage}");
                process::exit(0);
            }
            if !names.contains(&name.as_str()) {
                flags.refuse(&format!("{name} is not a flag"));
            }
            match arguments.next() {
                Some(value) => _ = flags.given.insert(name, value),
                None => flags.refuse(&format!("{name} has no value")),
            }
        }
        flags
    }

    /// The value of the flag `name`, or `default` where it was not given; ends the process when it can't be read.
    pub fn value<T>(&self, name: &str, default: T) -> T
    where
        T: FromStr<Err: Display>,
    {
        match self.given.get(name) {
            None => default,
            Some(given) => given.parse().unwrap_or_else(|error| self.refuse(&format!("{name} {given}: {error}"))),
        }
    }

    fn refuse(&self, reason: &str) -> ! {
        eprintln!("{reason}\n\n{}", self.usage);
        process::exit(2)
    }
}
