//! What has to hold after a run: [`log`] (the log by itself), [`attempts`] (what clients were told, by the log), [`reads`], and
//! [`read_models`].

pub(crate) mod attempts;
pub(crate) mod log;
pub(crate) mod read_models;
pub(crate) mod reads;
