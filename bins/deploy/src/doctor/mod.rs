//! Whether everything is there that a deploy needs, before the first one fails for want of it.
//!
//! Each check reads, and gives what it found; one that cannot be made says so and stops no other. What is found is
//! judged by `preview_core::doctor`.

use preview_actions::{Conclusion, Failed, Runner};
use preview_core::doctor::{Finding, lines, missing};
use preview_core::outcome::Exit;

use crate::Arguments;

mod cluster;
mod github;
mod registry;

/// Looks at everything, and tells.
///
/// # Errors
/// When there is no configuration to look by, or it is wrong.
pub(crate) async fn run(runner: &Runner, arguments: &Arguments) -> Result<Conclusion, Failed> {
    let config = runner.configuration(&arguments.options)?;
    let (github, registry, cluster) = futures::join!(
        github::findings(runner),
        registry::findings(runner, &config),
        cluster::findings(&config, &arguments.options),
    );
    let key = record_key(runner, config.promote.unsigned_records);
    let findings: Vec<Finding> = [github, vec![key], registry, cluster].concat();
    for line in lines(&findings) {
        runner.console().line(&line);
    }
    let (all, missing) = (findings.len(), missing(&findings));
    runner.know(|result| result.findings = findings);
    Ok(match missing {
        0 => Conclusion::done("healthy", format!("none of {all} checks misses anything")),
        missing => Conclusion {
            exit: Exit::Refused,
            verdict: "missing",
            reason: format!(
                "{missing} of {all} checks miss something; what mends it stands below each"
            ),
        },
    })
}

fn record_key(runner: &Runner, unsigned_records: bool) -> Finding {
    let what = "record key";
    let set = "openssl rand -hex 32 | gh secret set PREVIEW_RECORD_KEY --env preview";
    match runner.environment().record_key() {
        Ok(Some(_)) => Finding::good(what, "PREVIEW_RECORD_KEY is there, and long enough"),
        Ok(None) if unsigned_records => Finding::unknown(
            what,
            "PREVIEW_RECORD_KEY is not set, and preview.toml believes unsigned records",
        ),
        Ok(None) => Finding::missing(
            what,
            "PREVIEW_RECORD_KEY is not set: records are unsigned, and preview-promote refuses them",
        )
        .fixed_by(set),
        Err(error) => Finding::missing(what, error).fixed_by(set),
    }
}
