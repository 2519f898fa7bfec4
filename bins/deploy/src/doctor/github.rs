//! The token, the repository's environments and its workflows.

use preview_actions::Runner;
use preview_core::deploy::GATE;
use preview_core::deployments::ENVIRONMENT;
use preview_core::doctor::{
    Finding, Purpose, TokenFormat, enterprise_server, environment, token, workflows,
};
use preview_core::pulls::Repository;
use preview_github::GitHub;
use secrecy::ExposeSecret as _;

/// The environment of production's secrets.
const PRODUCTION: &str = "production";

pub(super) async fn findings(runner: &Runner) -> Vec<Finding> {
    let what = "GitHub token";
    let settings = match runner.environment().github() {
        Ok(settings) => settings,
        Err(error) => return vec![Finding::missing(what, error)],
    };
    let format = TokenFormat::of(settings.token.expose_secret());
    let server = enterprise_server(&settings.server_url);
    let connected = GitHub::connect(preview_github::Settings::new(
        settings.api_url,
        settings.token,
        settings.repository,
        runner.deadline(),
    ));
    let github = match connected {
        Ok(github) => github,
        Err(error) => return vec![Finding::missing(what, error)],
    };
    let repository = match github.repository().await {
        Ok(repository) => repository,
        Err(error) => return vec![Finding::missing(what, error).fixed_by("gh auth status")],
    };
    let mut all: Vec<Finding> = server.into_iter().collect();
    all.extend(match github.login().await {
        Ok(login) => token(format, login, &repository.slug.to_string()),
        Err(error) => vec![Finding::missing(what, error)],
    });
    all.extend(environments(&github, &repository).await);
    all.extend(match github.workflows().await {
        Ok(found) => workflows(&repository.slug, &found),
        Err(error) => vec![Finding::unknown("workflows", error)],
    });
    all
}

async fn environments(github: &GitHub, repository: &Repository) -> Vec<Finding> {
    let found = match github.environments().await {
        Ok(found) => found,
        Err(error) => return vec![Finding::unknown("environments", error)],
    };
    let wanted = [
        (GATE, Purpose::Approval),
        (ENVIRONMENT, Purpose::Secrets),
        (PRODUCTION, Purpose::Production),
    ];
    let slug = &repository.slug;
    let judged = wanted
        .iter()
        .map(|(name, purpose)| environment(slug, name, *purpose, &found));
    judged.collect()
}
