//! Who may do what: API keys, tokens, scopes, and how often somebody may ask.
//!
//! In reading order: [`rules`] (what a request needs), [`credentials`] (what it shows), [`keys`] and [`tokens`] (whose that is), [`caller`],
//! [`scopes`], [`rate_limits`]; [`sources`] and the reload of keys while the service runs.

pub mod caller;
pub mod client_address;
pub mod credentials;
pub mod failed_attempts;
pub mod key_maker;
pub mod keys;
pub mod limiters;
pub mod rate_limits;
pub mod rules;
pub mod scopes;
pub mod sources;
pub mod token_cache;
pub mod tokens;

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use actix_web::{HttpMessage, HttpRequest, web};
use arc_swap::ArcSwap;
use blake3::Hash;
use inventory_domain::Timestamp;
use slog::{Logger, error, info, warn};
use thiserror::Error;
use tokio::sync::watch;

use self::caller::Caller;
use self::client_address::{Network, client_address, household};
use self::credentials::Credentials;
use self::failed_attempts::FailedAttempts;
use self::keys::KeyRing;
use self::limiters::Limiters;
use self::rate_limits::{Allowance, Rate, TooMany};
use self::rules::Need;
use self::scopes::{Scope, Scopes};
use self::sources::{KnownKeys, SourceError, Sources};
use self::token_cache::TokenCache;
use self::tokens::TokenError;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::system::now;
use crate::watched_files::{FileContents, UnreadableFile, WatchedFiles};

/// Decides about requests; shared by all workers.
pub struct Access {
    is_on: bool,
    is_metrics_open: bool,
    sources: Sources,
    /// The rate of callers without one of their own.
    rate: Option<Rate>,
    known: ArcSwap<Generation>,
    /// The number of the newest generation, for those who stay.
    reloads: watch::Sender<u64>,
    subjects: Option<Limiters<String>>,
    addresses: Option<Limiters<IpAddr>>,
    failed: FailedAttempts,
    trusted: Vec<Network>,
    cached_tokens_max: usize,
    log: Logger,
}

/// The keys from one reading of the files, and its number.
struct Generation {
    keys: KnownKeys,
    number: u64,
}

/// Why requests can't be decided about.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Nobody could be let in.
    #[error(
        "access.enabled is true, but there are no keys: set access.keys_file, access.keys, tokens.hs256_secret_file or tokens.jwks_file \
         (`inventory keys new` makes a key)"
    )]
    NoKeys,
    /// A file can't be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableFile),
    /// The keys can't be used.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Access {
    /// Decides as the settings say, with the keys as they are now; with the files to watch for other keys.
    ///
    /// # Errors
    ///
    /// [`AccessError`] says why nobody could be let in.
    pub fn open(settings: &Settings, log: Logger) -> Result<(Arc<Self>, Option<WatchedFiles>), AccessError> {
        let section = &settings.access;
        let sources = Sources::of(section, &settings.tokens);
        let limits = &settings.rate_limits;
        let rate = Rate::new(limits.requests_per_second, limits.burst);
        if section.enabled && sources.is_empty() {
            return Err(AccessError::NoKeys);
        }
        let contents = if section.enabled { sources.read()? } else { FileContents::default() };
        let keys =
            if section.enabled { sources.keys(&contents, rate, &KeyRing::default())? } else { KnownKeys::default() };
        let access = Arc::new(Self {
            is_on: section.enabled,
            is_metrics_open: section.open_metrics,
            sources,
            rate,
            known: ArcSwap::from_pointee(Generation { keys, number: 1 }),
            reloads: watch::Sender::new(1),
            subjects: rate.map(|rate| Limiters::new(rate, limits.callers_max)),
            addresses: rate.map(|rate| Limiters::new(rate, limits.callers_max)),
            failed: FailedAttempts::new(section.failed_attempts_max, limits.callers_max),
            trusted: section.trusted_proxies.clone(),
            cached_tokens_max: settings.tokens.cached_tokens_max,
            log,
        });
        if access.is_on {
            let known = access.known.load();
            let (keys, tokens) = (known.keys.keys.len(), known.keys.tokens.is_some());
            info!(access.log, "access_control"; "keys" => keys, "tokens" => tokens);
        }
        let watched = access.watched(&contents);
        Ok((access, watched))
    }

    /// Whether callers have to say who they are.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// The files with keys, as the reload looks at them.
    fn watched(self: &Arc<Self>, contents: &FileContents) -> Option<WatchedFiles> {
        let files = self.sources.files();
        if !self.is_on || files.is_empty() {
            return None;
        }
        let access = Arc::clone(self);
        let take_in = Box::new(move |contents: &FileContents| access.replace_keys(contents));
        Some(WatchedFiles::new(files, self.sources.file_bytes_max(), contents, take_in, self.log.clone()))
    }

    /// The door that one worker lets requests in by.
    #[must_use]
    pub fn door(self: &Arc<Self>) -> Door {
        let tokens = RefCell::new(TokenCache::new(self.cached_tokens_max));
        Door(Rc::new(WorkerDoor { access: Arc::clone(self), tokens }))
    }

    /// Puts the keys in the files in place of those that are known, all or none.
    fn replace_keys(&self, contents: &FileContents) {
        let before = self.known.load();
        match self.sources.keys(contents, self.rate, &before.keys.keys) {
            Ok(keys) => {
                info!(self.log, "keys_reloaded"; "keys" => keys.keys.len(), "tokens" => keys.tokens.is_some());
                let number = before.number + 1;
                self.known.store(Arc::new(Generation { keys, number }));
                self.reloads.send_replace(number);
            }
            Err(why) => error!(self.log, "keys_not_reloaded"; "cause" => why.to_string()),
        }
    }
}

impl Access {
    /// What these credentials allow with the keys as they are now, and until when, if they end; nothing where they aren't good.
    fn standing(&self, given: &[u8]) -> Option<(Scopes, Option<Timestamp>)> {
        let known = self.known.load();
        if let Some(caller) = known.keys.keys.caller(&blake3::hash(given)) {
            return (!caller.has_expired(now())).then(|| (caller.scopes(), caller.expires_at()));
        }
        let token = known.keys.tokens.as_ref()?.verify(given).ok()?;
        Some((token.scopes, Some(token.expires_at)))
    }
}

/// Lets one worker's requests in, or not. Nothing that it does waits.
#[derive(Clone)]
pub struct Door(Rc<WorkerDoor>);

struct WorkerDoor {
    access: Arc<Access>,
    tokens: RefCell<TokenCache>,
}

impl Door {
    /// Says whether the request may go on; who sends it and what is left of its allowance are in its extensions then.
    ///
    /// # Errors
    ///
    /// The problem to answer with.
    pub fn admit(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let access = &self.0.access;
        if !access.is_on && access.addresses.is_none() {
            return Ok(());
        }
        // The router's own reading of the path: it decodes what was encoded.
        let need = Need::of(request.method(), request.match_info().as_str(), request.query_string());
        let (scope, is_limited) = match need {
            Need::Probe => return Ok(()),
            Need::Metrics if access.is_metrics_open => return Ok(()),
            Need::Metrics => (Some(Scope::Read), false),
            Need::Open => (None, true),
            Need::Scope(scope) => (Some(scope), true),
        };
        let scope = scope.filter(|_| access.is_on);
        let caller = scope.map(|_| self.0.identify(request)).transpose();
        if is_limited {
            access.count(request, caller.as_ref().ok().and_then(Option::as_ref))?;
        }
        let (Some(caller), Some(scope)) = (caller?, scope) else { return Ok(()) };
        let allowed = caller.scopes().allow(scope);
        request.extensions_mut().insert(caller);
        if allowed { Ok(()) } else { Err(Problem::forbidden(scope.name())) }
    }
}

impl Access {
    /// Counts the request of the caller, or of the address where there is none.
    fn count(&self, request: &ServiceRequest, caller: Option<&Caller>) -> Result<(), Problem> {
        let of_address;
        let limiter = match (caller, &self.addresses) {
            (Some(caller), _) => caller.limiter(),
            (None, Some(addresses)) => {
                of_address = addresses.of(&household(client_address(request, &self.trusted)));
                Some(&of_address)
            }
            (None, None) => None,
        };
        let Some(limiter) = limiter else { return Ok(()) };
        let (allowance, counted) = Allowance::of_request(limiter);
        request.extensions_mut().insert(Rc::new(allowance));
        counted.map_err(too_many)
    }
}

impl WorkerDoor {
    /// Who sends the request.
    fn identify(&self, request: &ServiceRequest) -> Result<Caller, Problem> {
        let given = match Credentials::of(request.headers()) {
            Credentials::One(given) => given,
            Credentials::None => return Err(Problem::unauthenticated(None)),
            Credentials::Unusable(why) => return Err(Problem::unauthenticated(Some(why))),
        };
        let known = self.access.known.load();
        let (hash, moment) = (blake3::hash(given), now());
        if let Some(caller) = known.keys.keys.caller(&hash) {
            if !caller.has_expired(moment) {
                return Ok(caller.clone());
            }
            return Err(self.refused(request, TokenError::Expired));
        }
        let cached = self.tokens.borrow_mut().caller(&hash, known.number);
        match cached {
            Some(caller) if !caller.has_expired(moment) => Ok(caller),
            Some(_) => {
                self.tokens.borrow_mut().forget(&hash);
                Err(self.refused(request, TokenError::Expired))
            }
            None => self.verify(request, given, hash, &known),
        }
    }

    /// Checks a token that isn't known yet.
    fn verify(
        &self,
        request: &ServiceRequest,
        given: &[u8],
        hash: Hash,
        known: &Generation,
    ) -> Result<Caller, Problem> {
        let verified = known.keys.tokens.as_ref().ok_or(TokenError::Unknown).and_then(|tokens| tokens.verify(given));
        let token = verified.map_err(|why| self.refused(request, why))?;
        let limiter = self.access.subjects.as_ref().map(|subjects| subjects.of(token.subject.as_str()));
        let caller = Caller::with_token(&token.subject, token.scopes, token.expires_at, limiter);
        self.tokens.borrow_mut().remember(hash, caller.clone());
        Ok(caller)
    }

    /// The answer to credentials that aren't good, which are counted and logged while they are few. Those that were good once are no
    /// guesses: their sender has to learn that they are over.
    fn refused(&self, request: &ServiceRequest, why: TokenError) -> Problem {
        let address = household(client_address(request, &self.access.trusted));
        let (moment, reason) = (Instant::now(), why.to_string());
        match self.access.failed.check(address, moment) {
            Ok(()) => {
                warn!(self.access.log, "credentials_refused"; "address" => address.to_string(), "cause" => &reason);
                self.access.failed.count(address, moment);
            }
            Err(_) if why == TokenError::Expired => {}
            Err(refused) => {
                request.extensions_mut().insert(self.access.failed.held_up(refused));
                return too_many(refused);
            }
        }
        Problem::unauthenticated(Some(&reason))
    }
}

/// Comes when the credentials of the request end, or are taken away, or don't allow `scope` any more: what is sent for longer than a moment
/// must not outlive them.
pub fn end_of_credentials(
    request: &HttpRequest,
    scope: Scope,
    access: &web::Data<Access>,
) -> impl Future<Output = ()> + use<> {
    let given = match Credentials::of(request.headers()) {
        Credentials::One(given) if request.extensions().contains::<Caller>() => Some(given.to_vec()),
        _ => None,
    };
    // From before the first look, so that no reload is missed.
    let (access, mut reloads) = (web::Data::clone(access), access.reloads.subscribe());
    async move {
        let Some(given) = given else { return std::future::pending().await };
        while let Some((scopes, expires_at)) = access.standing(&given)
            && scopes.allow(scope)
        {
            tokio::select! {
                () = moment_of(expires_at) => return,
                _ = reloads.changed() => {}
            }
        }
    }
}

/// Comes at this moment, or never where there is none.
async fn moment_of(moment: Option<Timestamp>) {
    let Some(moment) = moment else { return std::future::pending().await };
    let left_ms = moment.millis().saturating_sub(now().millis());
    tokio::time::sleep(Duration::from_millis(left_ms.try_into().unwrap_or(0))).await;
}

/// Counts the commands of a batch like requests; the request itself is counted already.
///
/// # Errors
///
/// The problem to answer with, where that many are not allowed now.
pub fn count_commands(request: &HttpRequest, commands: usize) -> Result<(), Problem> {
    let allowance = request.extensions().get::<Rc<Allowance>>().cloned();
    allowance.map_or(Ok(()), |allowance| allowance.count_also(commands.saturating_sub(1)).map_err(too_many))
}

fn too_many(too_many: TooMany) -> Problem {
    Problem::rate_limited(too_many.retry_after_s)
}
