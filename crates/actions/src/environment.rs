//! The process's environment, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use preview_core::alert::Origin;
use preview_core::names::{Fence, RepositorySlug};
use preview_core::record::RecordKey;
use preview_core::redaction::Redaction;
use secrecy::{ExposeSecret as _, SecretString};

/// Variables that hold a secret: masked in the log of a job, and never in a `Debug`.
const SECRETS: [&str; 6] = [
    "GITHUB_TOKEN",
    PULL_PASSWORD,
    "PREVIEW_RECORD_KEY",
    "PREVIEW_REGISTRY_PASSWORD",
    SLACK_WEBHOOK,
    SMTP_URL,
];

const PULL_PASSWORD: &str = "PREVIEW_PULL_PASSWORD";
const SLACK_WEBHOOK: &str = "PREVIEW_SLACK_WEBHOOK";
const SMTP_URL: &str = "PREVIEW_SMTP_URL";

/// What GitHub's installation tokens begin with, a job's `GITHUB_TOKEN` among them.
/// <https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>
const INSTALLATION_TOKEN: &str = "ghs_";

/// A variable that is missing, or is not what it should be; or another mistake in how the program was called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

impl UsageError {
    fn missing(variable: &str, next: &str) -> Self {
        Self(format!("{variable} is not set; {next}"))
    }
}

/// The variables of the process. What a program needs of them it asks for, and only then may something be missing.
#[derive(Clone)]
pub struct Environment(BTreeMap<String, SecretString>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Where GitHub is, who asks, and for which repository.
#[derive(Clone, Debug)]
pub struct GitHubSettings {
    /// `GITHUB_API_URL`.
    pub api_url: String,
    /// `GITHUB_SERVER_URL`, where people look.
    pub server_url: String,
    /// `GITHUB_TOKEN`.
    pub token: SecretString,
    /// `GITHUB_REPOSITORY`.
    pub repository: RepositorySlug,
}

/// The event that started the workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFile {
    /// `GITHUB_EVENT_NAME`.
    pub name: String,
    /// `GITHUB_EVENT_PATH`.
    pub path: PathBuf,
    /// What that file holds.
    pub payload: String,
}

/// Who we are at a registry.
#[derive(Clone, Debug)]
pub struct RegistryLogin {
    /// Whose credential it is: `PREVIEW_REGISTRY_HOST` or `PREVIEW_PULL_HOST`, or the only registry that can be meant.
    pub host: String,
    /// `PREVIEW_REGISTRY_USER`, or `PREVIEW_PULL_USER`.
    pub user: String,
    /// `PREVIEW_REGISTRY_PASSWORD`, or `PREVIEW_PULL_PASSWORD`.
    pub password: SecretString,
}

impl RegistryLogin {
    /// Host, user and password.
    #[must_use]
    pub fn into_parts(self) -> (String, String, SecretString) {
        (self.host, self.user, self.password)
    }
}

impl Environment {
    /// The environment of this process. A variable that is no text counts as missing, and so does an empty one: that
    /// is what a secret becomes that does not exist.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads it"
    )]
    pub fn of_process() -> Self {
        let texts = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::of(texts)
    }

    /// An environment of these variables.
    #[must_use]
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let given = variables
            .into_iter()
            .filter(|(_, value)| !value.trim().is_empty());
        Self(
            given
                .map(|(name, value)| (name, SecretString::from(value)))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.expose_secret())
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, UsageError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|why| UsageError(format!("{name}: {why}; set it as GitHub Actions does")))
    }

    /// `PATH`: where a program that is started is looked for.
    #[must_use]
    pub fn search_path(&self) -> Option<&str> {
        self.get("PATH")
    }

    /// Where GitHub is, and as whom we ask.
    ///
    /// # Errors
    /// When the token or the repository is missing, or the repository is none.
    pub fn github(&self) -> Result<GitHubSettings, UsageError> {
        let or = |name: &str, default: &str| self.get(name).unwrap_or(default).to_owned();
        let token = self.0.get("GITHUB_TOKEN").cloned().ok_or_else(|| {
            UsageError::missing(
                "GITHUB_TOKEN",
                "pass it to the step, as `env: GITHUB_TOKEN: ${{ github.token }}`",
            )
        })?;
        let repository = self.parsed("GITHUB_REPOSITORY")?.ok_or_else(|| {
            UsageError::missing(
                "GITHUB_REPOSITORY",
                "set it to owner/name of the repository",
            )
        })?;
        Ok(GitHubSettings {
            api_url: or("GITHUB_API_URL", "https://api.github.com"),
            server_url: or("GITHUB_SERVER_URL", "https://github.com"),
            token,
            repository,
        })
    }

    /// This run, which orders us among other runs.
    ///
    /// # Errors
    /// When `GITHUB_RUN_ID` is missing, or is no number.
    pub fn fence(&self) -> Result<Fence, UsageError> {
        let run = self.parsed("GITHUB_RUN_ID")?.ok_or_else(|| {
            UsageError::missing(
                "GITHUB_RUN_ID",
                "outside GitHub Actions set it to a number greater than that of every run before, since the greater \
                 one wins",
            )
        })?;
        let attempt = self.parsed("GITHUB_RUN_ATTEMPT")?.unwrap_or(1);
        Ok(Fence { run, attempt })
    }

    /// Who started the run, or this attempt of it; none outside Actions.
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/variables#default-environment-variables>
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        let again = self.get("GITHUB_TRIGGERING_ACTOR");
        again.or_else(|| self.get("GITHUB_ACTOR"))
    }

    /// The page of this run; none outside Actions.
    #[must_use]
    pub fn run_url(&self) -> Option<String> {
        self.run_url_of(self.fence().ok()?)
    }

    /// Where an alert of this run comes from.
    #[must_use]
    pub fn origin(&self, repository: &RepositorySlug) -> Origin {
        Origin {
            repository: repository.clone(),
            run: self.fence().ok(),
            run_url: self.run_url(),
        }
    }

    /// The page of another run of this repository; none outside Actions.
    #[must_use]
    pub fn run_url_of(&self, run: Fence) -> Option<String> {
        let server = self.get("GITHUB_SERVER_URL")?;
        let repository = self.get("GITHUB_REPOSITORY")?;
        let Fence { run, attempt } = run;
        Some(format!(
            "{server}/{repository}/actions/runs/{run}/attempts/{attempt}"
        ))
    }

    /// The page on which somebody sets up the environments of a repository.
    #[must_use]
    pub fn environments_page(&self, repository: &RepositorySlug) -> String {
        let server = self.get("GITHUB_SERVER_URL");
        let server = server.unwrap_or("https://github.com");
        format!("{server}/{repository}/settings/environments")
    }

    /// The event that started the workflow, its payload read.
    ///
    /// # Errors
    /// When a variable is missing, or the file cannot be read; `instead` is what may be given in place of an event.
    pub fn event(&self, instead: &str) -> Result<EventFile, UsageError> {
        let get = |name: &str| {
            let text = self.get(name);
            text.ok_or_else(|| {
                UsageError::missing(
                    name,
                    &format!("start this by an event in GitHub Actions, or {instead}"),
                )
            })
        };
        let (name, path) = (
            get("GITHUB_EVENT_NAME")?,
            Path::new(get("GITHUB_EVENT_PATH")?),
        );
        let payload = std::fs::read_to_string(path).map_err(|why| {
            UsageError(format!(
                "cannot read the event at GITHUB_EVENT_PATH, {}: {why}; give it the file that GitHub wrote, or {instead}",
                path.display()
            ))
        })?;
        Ok(EventFile {
            name: name.to_owned(),
            path: path.to_owned(),
            payload,
        })
    }

    /// The key that signs records; none where this job has none.
    ///
    /// # Errors
    /// When it is too short to be one.
    pub fn record_key(&self) -> Result<Option<RecordKey>, UsageError> {
        self.get("PREVIEW_RECORD_KEY")
            .map(RecordKey::new)
            .transpose()
            .map_err(|why| UsageError(why.to_string()))
    }

    /// The address of the Slack incoming webhook that takes alerts, `PREVIEW_SLACK_WEBHOOK`: whoever has it can post.
    #[must_use]
    pub fn slack_webhook(&self) -> Option<SecretString> {
        self.0.get(SLACK_WEBHOOK).cloned()
    }

    /// The mail server that takes alerts, with the account on it: `PREVIEW_SMTP_URL`.
    #[must_use]
    pub fn smtp_url(&self) -> Option<SecretString> {
        self.0.get(SMTP_URL).cloned()
    }

    /// How many columns a line of the log may have: those of the terminal, where `COLUMNS` tells them; else 80, or as many
    /// as fit the page on which GitHub shows a log.
    #[must_use]
    pub fn columns(&self) -> usize {
        let told = self.get("COLUMNS").and_then(|columns| columns.parse().ok());
        told.filter(|columns| *columns >= 40)
            .unwrap_or(if self.is_actions() { 160 } else { 80 })
    }

    /// Who we are at one of the `registries` that images come from; none to be nobody.
    ///
    /// # Errors
    /// When a user has no password, a password no user, or it is not said which of several registries is meant.
    pub fn registry(
        &self,
        registries: &BTreeSet<&str>,
    ) -> Result<Option<RegistryLogin>, UsageError> {
        self.login("PREVIEW_REGISTRY", registries)
    }

    /// Who the cluster's nodes are at one of the `registries` that images come from; none where anybody may pull.
    ///
    /// # Errors
    /// As [`Self::registry`]; and when the password is the job's own token, which dies with the job while previews go
    /// on making pods.
    pub fn pull(&self, registries: &BTreeSet<&str>) -> Result<Option<RegistryLogin>, UsageError> {
        let password = self.get(PULL_PASSWORD);
        let of_the_job = |password: &str| {
            password.starts_with(INSTALLATION_TOKEN) || self.get("GITHUB_TOKEN") == Some(password)
        };
        if password.is_some_and(of_the_job) {
            return Err(UsageError(format!(
                "{PULL_PASSWORD} is the token of a job or an app, which ends within the hour while the preview's nodes go \
                 on pulling images; make a token that lives on and may read packages, and keep it as a secret of the \
                 environment `preview`"
            )));
        }
        self.login("PREVIEW_PULL", registries)
    }

    /// The variables `…_USER` and `…_PASSWORD` behind `prefix`, for the registry of `…_HOST`.
    fn login(
        &self,
        prefix: &str,
        registries: &BTreeSet<&str>,
    ) -> Result<Option<RegistryLogin>, UsageError> {
        let [user, password] = ["USER", "PASSWORD"].map(|part| format!("{prefix}_{part}"));
        match (self.get(&user), self.0.get(&password)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(UsageError::missing(
                &password,
                &format!("set it beside {user}"),
            )),
            (None, Some(_)) => Err(UsageError::missing(
                &user,
                &format!("set it beside {password}; ghcr.io takes any name"),
            )),
            (Some(user), Some(password)) => Ok(Some(RegistryLogin {
                host: self.registry_host(prefix, registries)?,
                user: user.to_owned(),
                password: password.clone(),
            })),
        }
    }

    /// The one registry that a credential can be meant for: it must not be shown to another.
    fn registry_host(
        &self,
        prefix: &str,
        registries: &BTreeSet<&str>,
    ) -> Result<String, UsageError> {
        let named = self.get(&format!("{prefix}_HOST"));
        let only = registries.first().filter(|_| registries.len() == 1);
        named.or(only.copied()).map(str::to_owned).ok_or_else(|| {
            let registries: Vec<&str> = registries.iter().copied().collect();
            UsageError(format!(
                "{prefix}_PASSWORD may be meant for any of {}; say which in {prefix}_HOST",
                registries.join(", ")
            ))
        })
    }

    /// Whether this is a job of GitHub Actions, whose log obeys workflow commands.
    #[must_use]
    pub fn is_actions(&self) -> bool {
        self.get("GITHUB_ACTIONS") == Some("true")
    }

    /// Which log lines are wanted, as `tracing` filters them.
    pub(crate) fn log_filter(&self) -> Option<&str> {
        self.get("RUST_LOG")
    }

    /// Whether the step is run again with debug logging.
    pub(crate) fn is_debug(&self) -> bool {
        self.get("RUNNER_DEBUG") == Some("1")
    }

    /// The file that takes the step's outputs.
    pub(crate) fn output_file(&self) -> Option<&Path> {
        self.get("GITHUB_OUTPUT").map(Path::new)
    }

    /// The file that takes the step's summary.
    pub(crate) fn summary_file(&self) -> Option<&Path> {
        self.get("GITHUB_STEP_SUMMARY").map(Path::new)
    }

    /// What must not be seen in the log.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        SECRETS.iter().filter_map(|name| self.0.get(*name))
    }

    /// The same, for what others wrote and people will read.
    #[must_use]
    pub fn redaction(&self) -> Redaction {
        Redaction::of(self.secrets().map(|secret| secret.expose_secret()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Environment::of(owned)
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_what_to_do() {
        let empty = environment(&[("GITHUB_TOKEN", " ")]);
        let half = environment(&[
            ("GITHUB_TOKEN", "t"),
            ("GITHUB_REPOSITORY", "shop"),
            ("GITHUB_RUN_ID", "x"),
        ]);
        let user = environment(&[
            ("PREVIEW_REGISTRY_USER", "u"),
            ("PREVIEW_RECORD_KEY", "short"),
        ]);
        let password = environment(&[("PREVIEW_REGISTRY_PASSWORD", "p")]);
        let no_file = environment(&[
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_EVENT_PATH", "/nowhere/event.json"),
        ]);
        let both = environment(&[
            ("PREVIEW_REGISTRY_USER", "u"),
            ("PREVIEW_REGISTRY_PASSWORD", "p"),
        ]);
        let one = BTreeSet::from(["ghcr.io"]);
        let two = BTreeSet::from(["ghcr.io", "quay.io"]);
        assert_eq!(both.registry(&one).unwrap().unwrap().host, "ghcr.io");
        let instead = "give --commit";
        let told = [
            empty.github().unwrap_err(),
            half.github().unwrap_err(),
            empty.fence().unwrap_err(),
            half.fence().unwrap_err(),
            empty.event(instead).unwrap_err(),
            no_file.event(instead).unwrap_err(),
            user.registry(&one).unwrap_err(),
            password.registry(&one).unwrap_err(),
            both.registry(&two).unwrap_err(),
            user.record_key().unwrap_err(),
        ];
        insta::assert_snapshot!(told.map(|error| error.to_string()).join("\n"), @r#"
        GITHUB_TOKEN is not set; pass it to the step, as `env: GITHUB_TOKEN: ${{ github.token }}`
        GITHUB_REPOSITORY: "shop" is not a repository of the form owner/name; set it as GitHub Actions does
        GITHUB_RUN_ID is not set; outside GitHub Actions set it to a number greater than that of every run before, since the greater one wins
        GITHUB_RUN_ID: invalid digit found in string; set it as GitHub Actions does
        GITHUB_EVENT_NAME is not set; start this by an event in GitHub Actions, or give --commit
        cannot read the event at GITHUB_EVENT_PATH, /nowhere/event.json: No such file or directory (os error 2); give it the file that GitHub wrote, or give --commit
        PREVIEW_REGISTRY_PASSWORD is not set; set it beside PREVIEW_REGISTRY_USER
        PREVIEW_REGISTRY_USER is not set; set it beside PREVIEW_REGISTRY_PASSWORD; ghcr.io takes any name
        PREVIEW_REGISTRY_PASSWORD may be meant for any of ghcr.io, quay.io; say which in PREVIEW_REGISTRY_HOST
        the record key (PREVIEW_RECORD_KEY) has 5 bytes and needs 32; make one with `openssl rand -hex 32` and keep it as a secret of the protected environments
        "#);
    }

    #[test]
    fn the_token_of_a_job_is_no_credential_to_pull_with() {
        let one = BTreeSet::from(["ghcr.io"]);
        let pull = |token: &str, password: &str| {
            let variables = [
                ("GITHUB_TOKEN", token),
                ("PREVIEW_PULL_USER", "robot"),
                ("PREVIEW_PULL_PASSWORD", password),
            ];
            environment(&variables).pull(&one)
        };
        let login = pull("ghs_job", "ghp_long").unwrap().unwrap();
        assert_eq!(
            (login.host.as_str(), login.user.as_str()),
            ("ghcr.io", "robot")
        );
        assert!(environment(&[]).pull(&one).unwrap().is_none());
        let told = [pull("ghs_job", "ghs_other"), pull("t", "t")]
            .map(|refused| refused.unwrap_err().to_string());
        assert_eq!(told[0], told[1]);
        insta::assert_snapshot!(told[0], @"PREVIEW_PULL_PASSWORD is the token of a job or an app, which ends within the hour while the preview's nodes go on pulling images; make a token that lives on and may read packages, and keep it as a secret of the environment `preview`");
        let half = environment(&[("PREVIEW_PULL_PASSWORD", "p")])
            .pull(&one)
            .unwrap_err();
        insta::assert_snapshot!(half, @"PREVIEW_PULL_USER is not set; set it beside PREVIEW_PULL_PASSWORD; ghcr.io takes any name");
        let two = BTreeSet::from(["ghcr.io", "quay.io"]);
        let both = environment(&[("PREVIEW_PULL_USER", "u"), ("PREVIEW_PULL_PASSWORD", "p")]);
        insta::assert_snapshot!(both.pull(&two).unwrap_err(), @"PREVIEW_PULL_PASSWORD may be meant for any of ghcr.io, quay.io; say which in PREVIEW_PULL_HOST");
    }

    #[test]
    fn outside_enterprise_githubs_addresses_are_known() {
        let plain = environment(&[("GITHUB_TOKEN", "t"), ("GITHUB_REPOSITORY", "acme/shop")]);
        let settings = plain.github().unwrap();
        assert_eq!(settings.api_url, "https://api.github.com");
        assert_eq!(settings.repository.to_string(), "acme/shop");
        assert_eq!(plain.run_url(), None);
        let run = environment(&[
            ("GITHUB_SERVER_URL", "https://git.acme.test"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_RUN_ID", "12"),
            ("GITHUB_RUN_ATTEMPT", "2"),
        ]);
        assert_eq!(
            run.fence(),
            Ok(Fence {
                run: 12,
                attempt: 2
            })
        );
        assert_eq!(
            run.run_url().as_deref(),
            Some("https://git.acme.test/acme/shop/actions/runs/12/attempts/2")
        );
    }

    #[test]
    fn no_value_is_ever_printed() {
        let secret = environment(&[
            ("GITHUB_TOKEN", "ghs_secret"),
            ("GITHUB_REPOSITORY", "acme/shop"),
        ]);
        let printed = format!("{secret:?} {:?}", secret.github());
        assert!(!printed.contains("ghs_secret"), "{printed}");
    }
}
