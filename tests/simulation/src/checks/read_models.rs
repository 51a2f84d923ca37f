//! The read models of a node, row by row, against a fresh fold of the log.

use std::collections::HashSet;
use std::path::Path;

use inventory_application::audit::{Digest, LogAudit, Share};
use inventory_application::ports::RecordedEvent;
use inventory_projections::digests::{ReadModel, ReadModelFile, wanted};

/// Every read model is at the log's end and has the rows that it has to have, and no others.
pub(crate) fn check(node: usize, path: &Path, log: &[RecordedEvent], findings: &mut Vec<String>) {
    let file = ReadModelFile::open(path).unwrap().unwrap();
    let mut audit = LogAudit::new(Share::WHOLE, file.checkpoints(), HashSet::new(), 0);
    log.iter().for_each(|event| audit.observe(event.clone()));
    let (_, mut expected) = audit.finish();
    for model in ReadModel::ALL {
        let actual = file.digest(model, Digest::default()).unwrap();
        let ought = wanted(&mut expected, model);
        if !ought.differing(&actual).is_empty() || ought.rows() != actual.rows() {
            findings.push(format!("node {node}: {} isn't the fold of the log", model.name()));
        }
    }
}
