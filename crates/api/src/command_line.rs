//! The command line: what can be asked of the binary.

pub mod remote;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::access::keys::check_name;
use crate::moment;

/// Keeps the stock of every product in every store: never oversold, held while a customer pays, every change on record.
#[derive(Debug, Parser)]
#[command(name = "inventory", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct CommandLine {
    /// A TOML file with the settings that differ from the defaults; variables such as `INVENTORY__SERVER__PORT` win over it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  inventory serve --demo                  start on 127.0.0.1:8080 with sample data to try it on
  inventory                               start on an embedded store in ./data
  inventory replay baskets.csv.gz         replay sales into the store in ./data, and check every stock
  inventory replay baskets.csv --url http://127.0.0.1:8080   the same against a running server
  inventory replay baskets.csv --orders   each basket as one order; after a cut it goes on where it was
  inventory backup ../backup-monday       copy the store while it is being used
  inventory keys new --name till-12 --scopes write >> keys.toml   an API key, for access.keys_file
  inventory verify                        prove everything in ./data
  inventory stock add PRODUCT_ID STORE_ID 10 --reason delivery     of a running server, as the following ones
  inventory events tail --after 0         everything that has happened, and what happens next
  inventory health                        exits with 0 while the server does its work
  source <(inventory completions bash)    completion of commands and options";

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API until SIGTERM or Ctrl-C (what happens without a command, too)
    Serve(Serve),
    /// Replay baskets from a CSV file: restock, reserve, commit or release, then check that every stock adds up
    Replay(Replay),
    /// Replay the whole log and compare everything with it: rules, versions, positions, snapshots, read models; also while a
    /// service runs. Exits with 1 where something is wrong
    Verify(Verify),
    /// Make the read models anew from the log, all of them or one; not while a service runs, where an operator's call does it
    /// (POST /admin/projections/{name}/rebuild). What is cut off changes nothing
    Rebuild(Rebuild),
    /// Write the log as JSON Lines, one event a line; also while a service runs
    Export(Export),
    /// Read a log from JSON Lines into an empty store, or go on with an import that was cut off; proves all of it first
    Import(Import),
    /// Copy the event store into a new folder, as it is now; also while a service runs
    Backup(Backup),
    /// Make a data folder from a backup
    Restore(Restore),
    /// Make API keys for `access.keys_file`
    #[command(subcommand)]
    Keys(Keys),
    /// Ask about a stock of a running service, or change it
    Stock(remote::Stock),
    /// Ask a running service about an order
    Order(remote::Lookup),
    /// Ask a running service about a transfer
    Transfer(remote::Lookup),
    /// Follow what happens on a running service
    Events(remote::Events),
    /// Ask whether a running service does its work. Exits with 0 while it does, also where it is degraded, and with 1 otherwise
    Health(remote::Health),
    /// Print what makes a shell complete commands and options
    Completions(remote::Completions),
    /// Print the manual, for man -l
    Man(remote::Man),
    /// Print the version
    Version,
}

/// What is to be done with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key: the key goes to standard error, only this once; its entry for the file to standard output
    New(NewKey),
    /// Print the entry for a key that there is already, read from standard input
    Hash(NewKey),
}

/// Whose key it is, and what it allows.
#[derive(Debug, Args)]
pub struct NewKey {
    /// Who gets it; events and logs say `key:NAME`
    #[arg(long, value_parser = key_name)]
    pub name: String,
    /// What it allows; write includes read, admin includes both
    #[arg(long, value_delimiter = ',', required = true, value_parser = ["read", "write", "admin"])]
    pub scopes: Vec<String>,
    /// When it ends, as in 2027-01-31T00:00:00Z; never, if nothing is said
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub expires_at: Option<String>,
}

fn key_name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

fn time(text: &str) -> Result<String, String> {
    moment::parse(text).map(|_| text.to_owned()).ok_or_else(|| "must be a time such as 2027-01-31T00:00:00Z".to_owned())
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// About how much memory may be used for streams, live reservations and open orders; the log is replayed more often where
    /// that is too little. On top come 20 to 40 MiB for pages that are read, the index of a jsonl store's streams, and twice
    /// the largest stock that has snapshots, which is compared as a whole
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub memory_mib: u64,
}

/// Options of `rebuild`.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// The read model, such as `stock_levels`; all of them in one pass over the log, if none is named
    pub name: Option<String>,
}

/// Options of `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The file, which must not be there (- for standard output), or the folder
    pub to: PathBuf,
    /// Write a file a stock into the folder, `inventory-{product_id}-{store_id}.jsonl`, in place of one file with everything
    #[arg(long)]
    pub by_stock: bool,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// A file that `export` has written
    pub file: PathBuf,
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The folder, which must not be there
    pub to: PathBuf,
}

/// Options of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// A folder that `backup` has written
    pub from: PathBuf,
}

/// Options of `serve`.
#[derive(Debug, Default, Args)]
pub struct Serve {
    /// Fill an empty store with sample baskets, and print three things to try
    #[arg(long)]
    pub demo: bool,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Baskets as CSV or gzipped CSV, with the columns `transaction_timestamp`, `basket_id`, `household_id`, `store_id`,
    /// `product_id`, `quantity`; sorted by time
    pub file: PathBuf,
    /// Replay over HTTP against a running server, instead of into the store that the settings name
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// How many baskets may be in flight at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub in_flight: u16,
    /// Make each basket one order, which is held and then sold or freed as a whole. What was cut off goes on where it was when it
    /// is started again on the same baskets within a day, and a replay that is done changes nothing when it is repeated
    #[arg(long)]
    pub orders: bool,
}

impl CommandLine {
    /// What is to be done; serving, if nothing is said.
    #[must_use]
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(Serve::default()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default() {
        let parse = |words: &[&str]| CommandLine::try_parse_from(words).map(CommandLine::into_command);
        assert!(matches!(parse(&["inventory"]), Ok(Command::Serve(Serve { demo: false }))));
        assert!(matches!(parse(&["inventory", "serve", "--demo"]), Ok(Command::Serve(Serve { demo: true }))));
        assert!(matches!(parse(&["inventory", "replay", "x.csv"]), Ok(Command::Replay(_))));
        let orders = parse(&["inventory", "replay", "x.csv", "--orders"]);
        assert!(matches!(orders, Ok(Command::Replay(Replay { orders: true, .. }))));
        assert!(parse(&["inventory", "replay"]).is_err());
        let key = parse(&["inventory", "keys", "new", "--name", "till-12", "--scopes", "read,write"]);
        assert!(matches!(key, Ok(Command::Keys(Keys::New(NewKey { scopes, .. }))) if scopes == ["read", "write"]));
        assert!(parse(&["inventory", "keys", "new", "--name", "a\"b", "--scopes", "read"]).is_err());
        assert!(parse(&["inventory", "keys", "new", "--name", "a", "--scopes", "inventory:read"]).is_err());
        assert!(parse(&["inventory", "keys", "new", "--name", "a"]).is_err());
        assert!(parse(&["inventory", "replay", "x.csv", "--in-flight", "0"]).is_err());
    }
}
