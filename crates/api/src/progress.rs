//! Shows how far long work is.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TEMPLATE: &str = "{msg:13} [{bar:40}] {human_pos} of {human_len}, {per_sec}, {eta} to go";

/// How often the bar is drawn while nothing moves, so that stalled work can be told from slow work.
const TICK: Duration = Duration::from_millis(500);

/// Where progress is shown.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    is_shown: bool,
}

impl Progress {
    /// A bar on stderr, if that is a terminal.
    #[must_use]
    pub const fn on_stderr() -> Self {
        Self { is_shown: true }
    }

    /// None.
    #[must_use]
    pub const fn hidden() -> Self {
        Self { is_shown: false }
    }

    /// A bar for a part of the work that has so many steps.
    #[must_use]
    pub fn phase(self, name: &'static str, steps: u64) -> Phase {
        let target = if self.is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(steps), target);
        if !bar.is_hidden() {
            let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.set_message(name);
            bar.enable_steady_tick(TICK);
        }
        Phase(bar)
    }
}

/// A part of the work; gone from the terminal when it is dropped.
#[derive(Debug)]
pub struct Phase(ProgressBar);

impl Phase {
    /// So many more steps are done.
    pub fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// So many steps are done, of so many.
    pub fn set(&self, done: u64, steps: u64) {
        self.0.set_length(steps);
        self.0.set_position(done);
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
