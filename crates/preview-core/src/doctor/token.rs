//! What a GitHub token is, and what GitHub keeps from each kind of them, whatever it is granted.

use super::Finding;

/// The login behind every job's `GITHUB_TOKEN`.
const JOB: &str = "github-actions[bot]";

/// What all of a deploy needs, by the names that a workflow has for permissions.
const OF_JOB: &str = "a job needs permissions: { actions: write, contents: read, deployments: write, issues: read, \
                      pull-requests: write, statuses: write }";

/// The same by the names that Apps and fine-grained tokens have for them.
const OF_REPOSITORY: &str = "it needs of the repository: Actions: write, Contents: read, Deployments: write, Issues: write, \
                             Pull requests: write, Commit statuses: write";

/// <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps#available-scopes>
const OF_SCOPES: &str = "it needs the scope repo";

/// GitHub's own words are "GitHub Packages only supports authentication using a personal access token (classic)", and a job's
/// own token: <https://docs.github.com/en/packages/learn-github-packages/introduction-to-github-packages>.
const NO_PACKAGES: &str = "neither ghcr.io nor the API of packages takes it: the registry needs a credential of its own, and \
                           images that nothing needs any more are not deleted";

/// What a token is, as its beginning tells:
/// <https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// `ghs_`: of an installation of an App, Actions' own among them.
    Installation,
    /// `github_pat_`: a person's, confined to what they named.
    FineGrained,
    /// `ghp_`: a person's, for all that they may do.
    Classic,
    /// `gho_`, `ghu_`: a person's, by way of an App.
    ByApp,
    /// None of these.
    Unknown,
}

impl TokenFormat {
    /// Reads the beginning.
    #[must_use]
    pub fn of(token: &str) -> Self {
        match token.split_once('_').map(|(kind, _)| kind) {
            Some("ghs") => Self::Installation,
            Some("ghp") => Self::Classic,
            Some("github") => Self::FineGrained,
            Some("gho" | "ghu") => Self::ByApp,
            _ => Self::Unknown,
        }
    }

    /// Where somebody grants such a token what it lacks, as the end of a sentence.
    #[must_use]
    pub const fn granted(self) -> &'static str {
        match self {
            Self::Installation => {
                "grant it under `permissions:` of the workflow's job, or to the App whose token it is"
            }
            Self::FineGrained => "grant it where its owner keeps the token, in their settings",
            Self::Classic => "give the token the scope that this takes",
            Self::ByApp | Self::Unknown => "grant it where the token was made",
        }
    }
}

/// A token, with whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Job,
    App,
    FineGrained,
    Classic,
    ByApp,
    Unknown,
}

impl Token {
    fn of(format: TokenFormat, login: &str) -> Self {
        match format {
            // GraphQL names a bot with or without its suffix.
            TokenFormat::Installation if login == JOB || format!("{login}[bot]") == JOB => {
                Self::Job
            }
            TokenFormat::Installation => Self::App,
            TokenFormat::FineGrained => Self::FineGrained,
            TokenFormat::Classic => Self::Classic,
            TokenFormat::ByApp => Self::ByApp,
            TokenFormat::Unknown => Self::Unknown,
        }
    }

    const fn named(self) -> &'static str {
        match self {
            Self::Job => "the token of a job",
            Self::App => "the token of an App's installation",
            Self::FineGrained => "a person's fine-grained token",
            Self::Classic => "a person's classic token",
            Self::ByApp => "a person's token by way of an App",
            Self::Unknown => "a token of no kind that is known",
        }
    }

    const fn needs(self) -> &'static str {
        match self {
            Self::Job => OF_JOB,
            Self::App | Self::FineGrained => OF_REPOSITORY,
            Self::Classic | Self::ByApp | Self::Unknown => OF_SCOPES,
        }
    }

    /// What it cannot do, or does otherwise than others; `login` is whose it is.
    fn limits(self, login: &str) -> Vec<String> {
        let no_packages = || NO_PACKAGES.to_owned();
        let of_person = || {
            format!(
                "what it writes is {login}'s, and what {login} starts with it approves nothing: an approval is a review or a comment"
            )
        };
        match self {
            Self::Job => vec![
                "what it does starts no workflow but by dispatch: what is merged with it is promoted by the schedule".to_owned(),
                "it ends with the job: nodes pull with another (PREVIEW_PULL_PASSWORD)".to_owned(),
                "it has 1,000 requests an hour for the repository".to_owned(),
            ],
            Self::App => vec![
                no_packages(),
                "it may what its App may: `permissions:` of the job change nothing".to_owned(),
                "it ends within the hour: nodes pull with another (PREVIEW_PULL_PASSWORD)".to_owned(),
            ],
            Self::FineGrained => vec![
                no_packages(),
                of_person(),
                "it may what was granted to it: `permissions:` of the job change nothing".to_owned(),
            ],
            Self::Classic | Self::ByApp | Self::Unknown => vec![
                of_person(),
                format!("it may whatever {login} may, in all repositories: nothing confines it to this one"),
            ],
        }
    }
}

/// What a token is and what it reads, what it needs, and what it cannot do. No request that only reads says what a token may
/// write.
#[must_use]
pub fn token(format: TokenFormat, login: &str, reads: &str) -> Vec<Finding> {
    let token = Token::of(format, login);
    let is = format!("{}, {login}; it reads {reads}", token.named());
    let rights = format!(
        "what the token may write shows when it does; {}",
        token.needs()
    );
    vec![
        Finding::good("GitHub token", is),
        Finding::unknown("GitHub rights", rights),
        Finding::unknown("limits of the token", token.limits(login).join("; ")),
    ]
}

/// What there is to know of the GitHub at this address (`GITHUB_SERVER_URL`), where it is an Enterprise server. `gh` asks
/// github.com unless `GH_HOST` says otherwise (<https://cli.github.com/manual/gh_help_environment>).
#[must_use]
pub fn enterprise_server(server_url: &str) -> Option<Finding> {
    let host = server_url
        .split_once("://")
        .map_or(server_url, |(_, host)| host);
    let host = host.trim_end_matches('/');
    // Enterprise Cloud with data residency is github.com under another name.
    let is_cloud = host.eq_ignore_ascii_case("github.com") || host.ends_with(".ghe.com");
    (!is_cloud).then(|| {
        let found = format!(
            "{host} is an Enterprise server: it knows no attestations of builds, and its registry is containers.{host} in place of \
             ghcr.io; for what is to be typed, tell gh"
        );
        Finding::unknown("GitHub Enterprise Server", found).fixed_by(format!("export GH_HOST={host}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn a_token_is_known_by_its_beginning_and_by_whose_it_is() {
        let told = |text: &str, login: &str| {
            let findings = token(TokenFormat::of(text), login, "acme/shop");
            lines(&findings)[0].clone()
        };
        let told = [
            told("ghs_abc", "github-actions[bot]"),
            told("ghs_abc", "github-actions"),
            told("ghs_abc", "acme-previews[bot]"),
            told("github_pat_abc", "robin"),
            told("ghp_abc", "robin"),
            told("ghu_abc", "robin"),
            told("abc", "robin"),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        ✓ GitHub token: the token of a job, github-actions[bot]; it reads acme/shop
        ✓ GitHub token: the token of a job, github-actions; it reads acme/shop
        ✓ GitHub token: the token of an App's installation, acme-previews[bot]; it reads acme/shop
        ✓ GitHub token: a person's fine-grained token, robin; it reads acme/shop
        ✓ GitHub token: a person's classic token, robin; it reads acme/shop
        ✓ GitHub token: a person's token by way of an App, robin; it reads acme/shop
        ✓ GitHub token: a token of no kind that is known, robin; it reads acme/shop
        ");
    }

    #[test]
    fn an_enterprise_server_is_one_that_is_not_githubs_own() {
        let found = [
            "https://github.com",
            "https://GitHub.com/",
            "https://acme.ghe.com",
        ];
        assert!(found.iter().all(|url| enterprise_server(url).is_none()));
        let found = enterprise_server("https://git.acme.test/").unwrap();
        insta::assert_snapshot!(lines(&[found]).join("\n"), @r"
        – GitHub Enterprise Server: git.acme.test is an Enterprise server: it knows no attestations of builds, and its registry is containers.git.acme.test in place of ghcr.io; for what is to be typed, tell gh
            export GH_HOST=git.acme.test
        ");
    }
}
