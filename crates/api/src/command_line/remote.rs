//! What can be asked of a running service.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

/// Where the service is, and how it answers.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Service")]
pub struct Service {
    /// Where the service is; the host and port of the settings, if nothing is said
    #[arg(long, global = true, value_name = "URL", env = "INVENTORY_URL", hide_env_values = true)]
    pub url: Option<String>,
    /// The key to show, where access control is on; others may see an argument in the list of processes, but not a variable
    #[arg(long, global = true, value_name = "KEY", env = "INVENTORY_API_KEY", hide_env_values = true)]
    pub api_key: Option<ApiKey>,
    /// Certificates in PEM that a service at https:// may have besides those that the system trusts
    #[arg(long, global = true, value_name = "FILE", env = "INVENTORY_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print the answer as the JSON that it is
    #[arg(long, global = true)]
    pub json: bool,
}

/// A key, which is never shown.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Whether there is one: a variable may be set to nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key, for the header that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a key")
    }
}

/// How a write is made.
#[derive(Clone, Debug, Default, Args)]
pub struct Writing {
    /// Makes the command safe to repeat: under the same key it is done once
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Write only if the version is this one
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<u64>,
}

/// A product at a store.
#[derive(Clone, Copy, Debug, Args)]
pub struct Place {
    /// The product's id
    pub product_id: Uuid,
    /// The store's id
    pub store_id: Uuid,
}

/// `inventory stock`
#[derive(Debug, Args)]
#[command(after_help = STOCK_EXAMPLES)]
pub struct Stock {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it")]
    pub service: Service,
    #[command(subcommand)]
    #[allow(missing_docs, reason = "its variants say it")]
    pub command: StockCommand,
}

const STOCK_EXAMPLES: &str = "\
Examples:
  p=11111111-1111-4111-8111-111111111111 s=22222222-2222-4222-8222-222222222222
  inventory stock add $p $s 10 --reason 'delivery 4711' --idempotency-key delivery-4711
  inventory stock get $p                  in all stores; with $s in that one
  inventory stock reserve $p $s 2 --customer 33333333-3333-4333-8333-333333333333
  inventory stock availability $p $s 3 --json
It exits with 1 where the service says no, and says why on standard error.";

/// What is asked about a stock, or done to it.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "the fields without words are what several commands have")]
pub enum StockCommand {
    /// Show the level of a product in a store, or in all stores
    Get {
        /// The product's id
        product_id: Uuid,
        /// The store's id; all stores, if nothing is said
        store_id: Option<Uuid>,
        /// As it was at this time, as in 2026-01-31T12:00:00Z; of one store
        #[arg(long, value_name = "TIME", requires = "store_id")]
        at: Option<String>,
    },
    /// Put units on the shelf
    Add {
        #[command(flatten)]
        place: Place,
        /// How many
        quantity: u64,
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// Hold units for a customer
    Reserve {
        #[command(flatten)]
        place: Place,
        /// How many
        quantity: u64,
        /// Whom they are held for
        #[arg(long, value_name = "CUSTOMER_ID")]
        customer: Uuid,
        /// For how long; 30 minutes, if nothing is said
        #[arg(long, value_name = "MINUTES")]
        ttl_minutes: Option<u64>,
        /// Until they are committed or released
        #[arg(long, conflicts_with = "ttl_minutes")]
        no_deadline: bool,
        /// The reservation's id; a fresh one, if nothing is said
        #[arg(long, value_name = "ID")]
        reservation_id: Option<Uuid>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Sell what is held, all or a part of it
    Commit {
        #[command(flatten)]
        place: Place,
        /// The reservation's id
        reservation_id: Uuid,
        /// The order that it goes into
        #[arg(long, value_name = "ORDER_ID")]
        order: Uuid,
        /// How many of the units; the others are freed. All, if nothing is said
        #[arg(long, value_name = "UNITS")]
        quantity: Option<u64>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Give back what is held
    Release {
        #[command(flatten)]
        place: Place,
        /// The reservation's id
        reservation_id: Uuid,
        /// Why
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        writing: Writing,
    },
    /// Hold units longer, from now
    Extend {
        #[command(flatten)]
        place: Place,
        /// The reservation's id
        reservation_id: Uuid,
        /// For how long
        #[arg(long, value_name = "MINUTES")]
        ttl_minutes: u64,
        #[command(flatten)]
        writing: Writing,
    },
    /// Set the units on hand to what was counted
    Adjust {
        #[command(flatten)]
        place: Place,
        /// How many were counted
        quantity: u64,
        /// Why
        #[arg(long)]
        reason: String,
        /// When they were counted, as in 2026-01-31T12:00:00Z; what has happened since stays
        #[arg(long, value_name = "TIME")]
        counted_at: Option<String>,
        #[command(flatten)]
        writing: Writing,
    },
    /// Ask whether there are enough
    Availability {
        #[command(flatten)]
        place: Place,
        /// How many are needed
        quantity: u64,
    },
}

/// `inventory order` and `inventory transfer`
#[derive(Debug, Args)]
pub struct Lookup {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it")]
    pub service: Service,
    #[command(subcommand)]
    #[allow(missing_docs, reason = "its variants say it")]
    pub command: LookupCommand,
}

/// What is asked about an order or a transfer.
#[derive(Debug, Subcommand)]
pub enum LookupCommand {
    /// Show it as it stands
    Get {
        /// Its id
        id: Uuid,
    },
}

/// `inventory events`
#[derive(Debug, Args)]
#[command(after_help = EVENTS_EXAMPLES)]
pub struct Events {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it")]
    pub service: Service,
    #[command(subcommand)]
    #[allow(missing_docs, reason = "its variants say it")]
    pub command: EventsCommand,
}

const EVENTS_EXAMPLES: &str = "\
Examples:
  inventory events tail                   what happens from now on
  inventory events tail --after 0 --type OrderPlacedEvent,OrderCommittedEvent
  inventory events tail --after 0 --count 100 --json > first-hundred.jsonl";

/// What is asked about events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Show events as they happen, until it is stopped; where the connection breaks it goes on where it was
    Tail(Tail),
}

/// Options of `events tail`.
#[derive(Debug, Args)]
pub struct Tail {
    /// Begin behind this position; 0: with the first event. From now on, if nothing is said
    #[arg(long, value_name = "POSITION")]
    pub after: Option<u64>,
    /// Only events of stocks of this product
    #[arg(long, value_name = "PRODUCT_ID")]
    pub product: Option<Uuid>,
    /// Only events of stocks in this store
    #[arg(long, value_name = "STORE_ID")]
    pub store: Option<Uuid>,
    /// Only events of these types, such as `StockAddedEvent`
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Stop after so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// `inventory health`
#[derive(Debug, Args)]
pub struct Health {
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it")]
    pub service: Service,
}

/// `inventory man`
#[derive(Debug, Args)]
pub struct Man {
    /// Write a page for every command into this folder, in place of one page to standard output
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
}

/// `inventory completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// A shell that can be told what to complete.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}
