//! `cargo xtask bench`: how fast we are, each time beside somebody else in the same run. Nothing is asserted.

use anyhow::ensure;

use crate::cargo;

/// What is measured, as examples of the packages that do it.
const BENCHES: [(&str, &str); 1] = [("preview-k8s", "announced")];

/// Runs `cargo xtask bench`.
pub(crate) fn run() -> anyhow::Result<()> {
    for (package, example) in BENCHES {
        let mut measure = cargo::cargo();
        measure.args(["run", "--quiet", "--package", package, "--example", example]);
        let status = measure.status()?;
        ensure!(
            status.success(),
            "the bench {example} of {package} ended with {status}"
        );
    }
    Ok(())
}
