//! `tokio` as `shuttle` schedules it, with the method that it lacks, and a flaw for who plants one.

pub use shuttle_tokio::*;

/// What tasks share.
pub mod sync {
    use std::cell::Cell;

    pub use shuttle_tokio::sync::*;

    thread_local! {
        /// Whether notifications are lost on who doesn't wait yet, in the scenarios of this thread: the flaw.
        pub static FORGETFUL: Cell<bool> = const { Cell::new(false) };
    }

    /// Wakes one who waits, or the next one who will.
    #[derive(Debug, Default)]
    pub struct Notify(shuttle_tokio::sync::Notify);

    impl Notify {
        /// With nothing to tell yet.
        #[must_use]
        pub fn new() -> Self {
            Self::default()
        }

        /// Waits to be told.
        pub fn notified(&self) -> futures::Notified<'_> {
            self.0.notified()
        }

        /// Tells one.
        pub fn notify_one(&self) {
            if FORGETFUL.get() { self.0.notify_waiters() } else { self.0.notify_one() }
        }
    }

    /// Futures by name.
    pub mod futures {
        pub use shuttle_tokio::sync::futures::Notified;
    }

    /// Channels with one receiver.
    pub mod mpsc {
        pub use shuttle_tokio::sync::mpsc::*;

        /// Where an unbounded channel is read.
        #[derive(Debug)]
        pub struct UnboundedReceiver<T>(shuttle_tokio::sync::mpsc::UnboundedReceiver<T>);

        /// A channel without a bound.
        #[must_use]
        pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
            let (sender, receiver) = shuttle_tokio::sync::mpsc::unbounded_channel();
            (sender, UnboundedReceiver(receiver))
        }

        impl<T> UnboundedReceiver<T> {
            /// Waits for one, and takes what else is there, up to `limit`: what the original lacks.
            pub async fn recv_many(&mut self, into: &mut Vec<T>, limit: usize) -> usize {
                let Some(first) = self.0.recv().await else { return 0 };
                into.push(first);
                let mut count = 1;
                while count < limit
                    && let Ok(next) = self.0.try_recv()
                {
                    into.push(next);
                    count += 1;
                }
                count
            }

            /// Takes one, if there is one.
            ///
            /// # Errors
            ///
            /// There is none, or never will be.
            pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
                self.0.try_recv()
            }

            /// Lets no more in.
            pub fn close(&mut self) {
                self.0.close();
            }

            /// Whether no more can come in.
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.0.is_closed()
            }
        }
    }
}
