//! What each command of the command line does.

use std::error::Error;
use std::io::{self, Cursor, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory;
use inventory_application::Position;
use slog::{Logger, info, o, warn};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::access::Access;
use crate::access::key_maker::{entry_for, fresh_key};
use crate::command_line::remote::{Events, EventsCommand, LookupCommand, Service, Shell};
use crate::command_line::{Command, CommandLine, Keys, Replay, Serve};
use crate::composition::{Services, compose};
use crate::listeners::addresses;
use crate::logging::Log;
use crate::logging::levels::{LogPart, part_log};
use crate::maintenance::backup::{backup, restore};
use crate::maintenance::export::{Target, export};
use crate::maintenance::import::{Imported, import};
use crate::maintenance::rebuild::rebuild;
use crate::maintenance::verify::verify;
use crate::progress::Progress;
use crate::remote::{self, Connection, Question};
use crate::replay::{EmbeddedShop, HttpShop, Plan, ReplayOptions, ReplayReport, ids, replay, replay_plan};
use crate::server::{listen, stop};
use crate::settings::{LogLevel, Settings};
use crate::tls::Tls;
use crate::watched_files::watch;

/// The baskets that the demo replays.
const SAMPLE: &[u8] = include_bytes!("../../../data/samples/baskets.csv");

/// The shortest key that is taken from elsewhere: as random as it may be, less could be guessed from its hash.
const KEY_BYTES_MIN: usize = 32;

/// How many of them may be in flight.
const SAMPLE_IN_FLIGHT: usize = 64;

/// What went wrong, with all its causes.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct RunError(String);

impl RunError {
    fn of(error: &dyn Error) -> Self {
        let mut said = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            let text = deeper.to_string();
            if !said.contains(&text) {
                said = format!("{said}: {text}");
            }
            cause = deeper.source();
        }
        Self(said)
    }
}

/// Does what the command line says, and returns the code that the process ends with.
///
/// # Errors
///
/// [`RunError`] says what went wrong.
pub fn run(command_line: CommandLine) -> Result<ExitCode, RunError> {
    let config = command_line.config.clone();
    let system = actix_web::rt::System::new();
    match command_line.into_command() {
        Command::Serve(options) => system.block_on(serve(config.as_deref(), options)),
        Command::Replay(options) => system.block_on(replay_file(config.as_deref(), options)),
        Command::Verify(options) => {
            let report = verify(&load(config.as_deref())?, options.memory_mib, Progress::on_stderr());
            let report = report.map_err(|error| RunError::of(&error))?;
            say(&mut io::stdout(), &report)?;
            Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Rebuild(options) => {
            let settings = load(config.as_deref())?;
            let done = system.block_on(rebuild(&settings, options.name.as_deref(), Progress::on_stderr()));
            let position = done.map_err(|error| RunError::of(&error))?;
            let what = options.name.as_deref().unwrap_or("all read models");
            say(&mut io::stdout(), format_args!("{what}: made anew from {position} events"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export(options) => {
            let target = if options.by_stock { Target::Streams(options.to) } else { Target::Log(options.to) };
            let done = export(&load(config.as_deref())?, &target, Progress::on_stderr());
            let events = done.map_err(|error| RunError::of(&error))?;
            say(&mut io::stderr(), format_args!("{events} events exported"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Import(options) => {
            let settings = load(config.as_deref())?;
            let done = system.block_on(import(&settings, &options.file, Progress::on_stderr()));
            let Imported { known, added } = done.map_err(|error| RunError::of(&error))?;
            say(&mut io::stdout(), format_args!("{added} events imported, {known} were there already"))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Backup(options) => {
            let done = backup(&load(config.as_deref())?, &options.to, Progress::on_stderr());
            let head = done.map_err(|error| RunError::of(&error))?;
            say(&mut io::stdout(), format_args!("{head} events backed up to {}", options.to.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Restore(options) => {
            let settings = load(config.as_deref())?;
            let done = restore(&settings, &options.from, Progress::on_stderr());
            let head = done.map_err(|error| RunError::of(&error))?;
            say(&mut io::stdout(), format_args!("{head} events restored to {}", settings.data.dir.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Keys(options) => {
            keys(&options)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Stock(options) => {
            let question = remote::stock::question(&options.command);
            system.block_on(ask(config.as_deref(), &options.service, &question))
        }
        Command::Order(options) => {
            system.block_on(ask(config.as_deref(), &options.service, &lookup("orders", &options.command)))
        }
        Command::Transfer(options) => {
            system.block_on(ask(config.as_deref(), &options.service, &lookup("transfers", &options.command)))
        }
        Command::Events(options) => system.block_on(events(config.as_deref(), &options)),
        Command::Health(options) => system.block_on(health(config.as_deref(), &options.service)),
        Command::Completions(options) => completions(options.shell),
        Command::Man(options) => manual(options.to.as_deref()),
        Command::Version => {
            say(&mut io::stdout(), concat!("inventory ", env!("CARGO_PKG_VERSION")))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The way to the service that is meant.
fn connect(config: Option<&Path>, service: &Service) -> Result<Connection, RunError> {
    let url = match &service.url {
        Some(url) => url.clone(),
        None => load(config)?.server_url(),
    };
    let key = service.api_key.as_ref().filter(|key| !key.is_empty());
    let connection = Connection::new(&url, key, service.ca_file.as_deref());
    connection.map_err(|error| RunError::of(&error))
}

async fn ask(config: Option<&Path>, service: &Service, question: &Question) -> Result<ExitCode, RunError> {
    let connection = connect(config, service)?;
    let asked = remote::ask(&connection, question, service.json, &mut io::stdout()).await;
    asked.map_err(|error| RunError::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn lookup(list: &str, command: &LookupCommand) -> Question {
    let LookupCommand::Get { id } = command;
    Question::get(format!("/api/v1/{list}/{id}"))
}

async fn events(config: Option<&Path>, options: &Events) -> Result<ExitCode, RunError> {
    let connection = connect(config, &options.service)?;
    let EventsCommand::Tail(tail) = &options.command;
    let mut out = io::BufWriter::new(io::stdout());
    let says = |news: &str| eprintln!("inventory: {news}");
    let done = remote::tail::tail(&connection, tail, options.service.json, &mut out, says).await;
    done.map_err(|error| RunError::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

async fn health(config: Option<&Path>, service: &Service) -> Result<ExitCode, RunError> {
    let connection = connect(config, service)?;
    let serves = remote::health(&connection, service.json, &mut io::stdout()).await;
    let serves = serves.map_err(|error| RunError::of(&error))?;
    Ok(if serves { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn completions(shell: Shell) -> Result<ExitCode, RunError> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "inventory", &mut script);
    io::stdout().write_all(&script).map_err(|error| RunError::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// The manual: one page, or one for each command.
fn manual(folder: Option<&Path>) -> Result<ExitCode, RunError> {
    let written = match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(CommandLine::command(), folder))
        }
        None => clap_mangen::Man::new(CommandLine::command()).render(&mut io::stdout()),
    };
    written.map_err(|error| RunError::of(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the entry of a key, and the key where it is a fresh one.
fn keys(options: &Keys) -> Result<(), RunError> {
    let (key, given) = match options {
        Keys::New(given) => (fresh_key().map_err(|_| RunError("the system has no randomness".into()))?, given),
        Keys::Hash(given) => (read_key()?, given),
    };
    if matches!(options, Keys::New(_)) {
        say(&mut io::stderr(), format_args!("The key, which is shown only now: {key}"))?;
    }
    say(&mut io::stdout(), entry_for(&key, &given.name, &given.scopes, given.expires_at.as_deref()))
}

fn read_key() -> Result<String, RunError> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|error| RunError::of(&error))?;
    let key = line.trim_ascii();
    let is_long = key.len() >= KEY_BYTES_MIN;
    let why = format!("a key has at least {KEY_BYTES_MIN} characters, so that nobody guesses it from its hash");
    is_long.then(|| key.to_owned()).ok_or(RunError(why))
}

fn load(config: Option<&Path>) -> Result<Settings, RunError> {
    Settings::load(config).map_err(|error| RunError::of(&error))
}

async fn serve(config: Option<&Path>, options: Serve) -> Result<ExitCode, RunError> {
    let settings = load(config)?;
    // From here on, so that a stop that comes while the node starts is not lost.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| RunError::of(&error))?;
    let hangup = signal(SignalKind::hangup()).map_err(|error| RunError::of(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| RunError::of(&error))?;
    let lines = Log::open(&settings.log);
    let log = lines.logger.clone();
    let (access, keys) =
        Access::open(&settings, part_log(&log, LogPart::Access)).map_err(|error| RunError::of(&error))?;
    let tls = Tls::open(&settings, &log).map_err(|error| RunError::of(&error))?;
    let (tls, certificate) = tls.map_or((None, None), |tls| (Some(tls.config), Some(tls.watched)));
    // Before anything is opened: who must not listen there needs no store.
    let is_guarded = access.is_on() || settings.access.allow_open_network;
    let found = addresses(&settings.server, is_guarded).map_err(|error| RunError::of(&error))?;
    let is_plain = access.is_on() && tls.is_none() && settings.access.trusted_proxies.is_empty();
    if is_plain && found.iter().any(|address| !address.ip().is_loopback()) {
        warn!(log, "keys_in_plain_text"; "cause" => "neither TLS nor a trusted proxy is set, so keys and tokens can be read on their way");
    }
    let services = compose(&settings, &lines).await.map_err(|error| RunError::of(&error))?;
    let listening = listen(&settings, &services, &access, tls.as_ref(), &log).map_err(|error| RunError::of(&error))?;
    let reload = Duration::from_millis(settings.access.reload_ms);
    let reload = actix_web::rt::spawn(watch(keys.into_iter().chain(certificate).collect(), reload, hangup));
    let handle = listening.server.handle();
    let server = actix_web::rt::spawn(listening.server);
    let address = listening.addresses.first().map(ToString::to_string).unwrap_or_default();
    info!(log, "serving"; "address" => &address, "data" => settings.data.dir.display().to_string());
    if options.demo {
        demo(&services, &address, &log).await?;
    }
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    reload.abort();
    info!(log, "stopping");
    services.feed.close(); // A stream doesn't end by itself.
    stop(&handle, &services.drain, Duration::from_secs(settings.server.drain_s_max), &log).await;
    drop(server.await);
    services.close(&log).await;
    info!(log, "stopped");
    lines.close(Duration::from_millis(settings.log.flush_ms_max));
    Ok(ExitCode::SUCCESS)
}

/// Fills an empty store with the sample baskets, and says what to try.
async fn demo(services: &Services, address: &str, log: &Logger) -> Result<(), RunError> {
    let plan = Plan::read(Cursor::new(SAMPLE), "the sample baskets", ReplayOptions::LINES_MAX)
        .map_err(|error| RunError::of(&error))?;
    let Some(stock_id) = plan.stocks.first().map(|stock| stock.stock_id) else { return Ok(()) };
    if services.head_at_start == Position::START {
        services.business_events.set_quiet(true); // Thousands of lines that nobody has asked for.
        let shop = embedded_shop(services);
        let done = replay_plan(&shop, &plan, SAMPLE_IN_FLIGHT, Progress::on_stderr()).await;
        services.business_events.set_quiet(false);
        let report = done.map_err(|error| RunError::of(&error))?;
        say(&mut io::stderr(), &report)?;
    }
    let (product_id, store_id, customer_id) = (stock_id.product_id, stock_id.store_id, ids::customer_id(1));
    let path = format!("/api/v1/inventory/products/{product_id}/stores/{store_id}");
    let stock = format!("\"product_id\":\"{product_id}\",\"store_id\":\"{store_id}\"");
    let api = format!("http://{address}/api/v1/inventory");
    let json = "-H 'content-type: application/json'";
    say(
        &mut io::stderr(),
        format_args!(
            "\nThe service is up. Add units, reserve one, look at the level:\n\n  \
             curl -s {json} {api}/stock -d '{{{stock},\"quantity\":10,\"reason\":\"delivery\"}}'\n  \
             curl -s {json} {api}/reserve -d '{{{stock},\"quantity\":1,\"customer_id\":\"{customer_id}\"}}'\n  \
             curl -s http://{address}{path}\n"
        ),
    )?;
    info!(log, "demo_ready"; "try" => path, "baskets" => plan.baskets.len());
    Ok(())
}

async fn replay_file(config: Option<&Path>, options: Replay) -> Result<ExitCode, RunError> {
    let (in_flight, as_orders) = (options.in_flight.into(), options.orders);
    let replay_options = ReplayOptions { in_flight, as_orders, ..ReplayOptions::new(options.file) };
    let report = match options.url {
        Some(url) => {
            let shop = HttpShop::new(&url, replay_options.in_flight).map_err(|error| RunError::of(&error))?;
            replay(&shop, &replay_options, Progress::on_stderr()).await.map_err(|error| RunError::of(&error))?
        }
        None => replay_embedded(config, &replay_options).await?,
    };
    say(&mut io::stdout(), &report)?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn replay_embedded(config: Option<&Path>, options: &ReplayOptions) -> Result<ReplayReport, RunError> {
    let mut settings = load(config)?;
    settings.log.business_events = false;
    if matches!(settings.log.level, LogLevel::Trace | LogLevel::Debug | LogLevel::Info) {
        settings.log.level = LogLevel::Warning; // Standard output is for the report.
    }
    settings.log.parts.clear();
    let mut lines = Log::open(&settings.log);
    lines.logger = lines.logger.new(o!("command" => "replay"));
    let services = compose(&settings, &lines).await.map_err(|error| RunError::of(&error))?;
    let shop = embedded_shop(&services);
    let done = replay(&shop, options, Progress::on_stderr()).await;
    drop(shop);
    services.close(&lines.logger).await;
    lines.close(Duration::from_millis(settings.log.flush_ms_max));
    done.map_err(|error| RunError::of(&error))
}

fn embedded_shop(services: &Services) -> EmbeddedShop {
    EmbeddedShop::new(services.commands.clone(), services.queries.clone(), services.history.clone())
}

/// Writes a line for a person.
fn say(out: &mut dyn Write, what: impl std::fmt::Display) -> Result<(), RunError> {
    writeln!(out, "{what}").map_err(|error| RunError::of(&error))
}
