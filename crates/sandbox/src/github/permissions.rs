//! What a token must be allowed for each operation: the permissions of a workflow's job, one by one.
//!
//! The table is GitHub's own, "Permissions required for GitHub Apps"
//! (<https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps>), in the words of a workflow's
//! `permissions`. Of several permissions in a row, any one will do. Packages are not in it: there GitHub says what
//! `packages: read` and `packages: write` are for
//! (<https://docs.github.com/en/packages/learn-about-github-packages/about-permissions-for-github-packages>).
//!
//! Not modelled: a token that is confined to another repository.

use std::collections::BTreeMap;

use super::call::{Answer, Call};
use super::state::{State, Token};

/// How far a permission goes; [`Self::Write`] includes [`Self::Read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// To look.
    Read,
    /// To change, too.
    Write,
}

/// Permissions by the names that a workflow has for them. One that is not named is not there; `metadata: read` always is.
pub(super) type Permissions = BTreeMap<String, Level>;

/// What an operation asks for: any one of these.
type Needs = &'static [(&'static str, Level)];

const NOTHING: Needs = &[];
const ACTIONS: Needs = &[("actions", Level::Read)];
const ACTIONS_WRITE: Needs = &[("actions", Level::Write)];
const CONTENTS: Needs = &[("contents", Level::Read)];
const DEPLOYMENTS: Needs = &[("deployments", Level::Read)];
const DEPLOYMENTS_WRITE: Needs = &[("deployments", Level::Write)];
const ISSUES: Needs = &[("issues", Level::Read)];
const ISSUES_WRITE: Needs = &[("issues", Level::Write)];
/// What pull requests share with issues is open to whoever may do either.
const EITHER: Needs = &[("issues", Level::Read), ("pull-requests", Level::Read)];
const EITHER_WRITE: Needs = &[("issues", Level::Write), ("pull-requests", Level::Write)];
const PACKAGES: Needs = &[("packages", Level::Read)];
const PACKAGES_WRITE: Needs = &[("packages", Level::Write)];
const PULLS: Needs = &[("pull-requests", Level::Read)];
const STATUSES: Needs = &[("statuses", Level::Read)];

/// Each operation that is served, as `METHOD template`; those in a repository without `/repos/{owner}/{repo}`.
const TABLE: &[(&str, Needs)] = &[
    ("GET /rate_limit", NOTHING),
    ("GET /user", NOTHING),
    ("GET /users/{username}", NOTHING),
    (
        "GET /orgs/{org}/packages/{package_type}/{package_name}/versions",
        PACKAGES,
    ),
    (
        "GET /users/{username}/packages/{package_type}/{package_name}/versions",
        PACKAGES,
    ),
    (
        "GET /orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}",
        PACKAGES,
    ),
    (
        "GET /users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}",
        PACKAGES,
    ),
    (
        "DELETE /orgs/{org}/packages/{package_type}/{package_name}/versions/{package_version_id}",
        PACKAGES_WRITE,
    ),
    (
        "DELETE /users/{username}/packages/{package_type}/{package_name}/versions/{package_version_id}",
        PACKAGES_WRITE,
    ),
    // "Metadata": every token has it.
    ("GET ", NOTHING),
    ("GET /collaborators/{username}/permission", NOTHING),
    ("GET /actions/runs", ACTIONS),
    ("GET /actions/runs/{run_id}", ACTIONS),
    ("GET /actions/runs/{run_id}/approvals", ACTIONS),
    ("POST /actions/runs/{run_id}/cancel", ACTIONS_WRITE),
    ("GET /actions/runs/{run_id}/pending_deployments", ACTIONS),
    (
        "POST /actions/runs/{run_id}/pending_deployments",
        DEPLOYMENTS_WRITE,
    ),
    ("GET /actions/workflows", ACTIONS),
    (
        "POST /actions/workflows/{workflow_id}/dispatches",
        ACTIONS_WRITE,
    ),
    (
        "GET /attestations/{subject_digest}",
        &[("attestations", Level::Read)],
    ),
    ("GET /commits/{commit_sha}/pulls", PULLS),
    ("GET /commits/{ref}", CONTENTS),
    ("GET /commits/{ref}/status", STATUSES),
    ("GET /commits/{ref}/statuses", STATUSES),
    ("GET /compare/{basehead}", CONTENTS),
    ("GET /contents/{path}", CONTENTS),
    ("GET /deployments", DEPLOYMENTS),
    ("POST /deployments", DEPLOYMENTS_WRITE),
    ("GET /deployments/{deployment_id}", DEPLOYMENTS),
    ("DELETE /deployments/{deployment_id}", DEPLOYMENTS_WRITE),
    ("GET /deployments/{deployment_id}/statuses", DEPLOYMENTS),
    (
        "POST /deployments/{deployment_id}/statuses",
        DEPLOYMENTS_WRITE,
    ),
    ("GET /environments", ACTIONS),
    ("GET /environments/{environment_name}", ACTIONS),
    (
        "GET /environments/{environment_name}/deployment-branch-policies",
        ACTIONS,
    ),
    ("GET /git/blobs/{file_sha}", CONTENTS),
    ("GET /git/commits/{commit_sha}", CONTENTS),
    ("GET /git/matching-refs/{ref}", CONTENTS),
    ("GET /git/ref/{ref}", CONTENTS),
    ("GET /git/trees/{tree_sha}", CONTENTS),
    ("GET /issues", ISSUES),
    ("GET /issues/comments/{comment_id}", EITHER),
    ("PATCH /issues/comments/{comment_id}", EITHER_WRITE),
    ("DELETE /issues/comments/{comment_id}", EITHER_WRITE),
    ("GET /issues/comments/{comment_id}/reactions", ISSUES),
    ("POST /issues/comments/{comment_id}/reactions", ISSUES_WRITE),
    ("GET /issues/{issue_number}/comments", EITHER),
    ("POST /issues/{issue_number}/comments", EITHER_WRITE),
    ("GET /issues/{issue_number}/labels", EITHER),
    ("POST /issues/{issue_number}/labels", EITHER_WRITE),
    ("DELETE /issues/{issue_number}/labels/{name}", EITHER_WRITE),
    ("GET /labels", EITHER),
    ("POST /labels", EITHER_WRITE),
    ("GET /labels/{name}", EITHER),
    ("PATCH /labels/{name}", EITHER_WRITE),
    ("DELETE /labels/{name}", EITHER_WRITE),
    ("GET /pulls", PULLS),
    ("GET /pulls/{pull_number}", PULLS),
    ("GET /pulls/{pull_number}/commits", PULLS),
    ("GET /pulls/{pull_number}/files", PULLS),
    ("POST /statuses/{sha}", &[("statuses", Level::Write)]),
];

/// What GraphQL's deployments ask for, as the REST API's do.
const GRAPHQL_DEPLOYMENTS: Needs = DEPLOYMENTS;

/// GitHub's refusal, where the token may not do what is asked. An operation that no row is about is refused to every token
/// that has permissions of its own.
pub(super) fn refusal(state: &State, call: &Call, token: &Token) -> Option<Answer> {
    let had = token.permissions.as_ref()?;
    // "This endpoint can be used without authentication […] if only public resources are requested."
    let public = state
        .repo_by_slug(call.parameter("owner"), call.parameter("repo"))
        .is_some_and(|repo| !repo.private);
    if public && call.operation.starts_with("GET ") {
        return None;
    }
    let mut rows = TABLE.iter();
    let row = rows.find(|(operation, _)| *operation == call.operation);
    let allowed = row.is_some_and(|(_, needs)| suffice(had, needs));
    (!allowed).then(|| Answer::forbidden(token.kind))
}

/// Whether a token may ask GraphQL for deployments.
pub(super) fn sees_deployments(token: &Token) -> bool {
    let had = token.permissions.as_ref();
    had.is_none_or(|had| suffice(had, GRAPHQL_DEPLOYMENTS))
}

/// Whether a token may ask GraphQL for what stands on a pull request: its labels with what else carries
/// them, its base branch, and deployments.
pub(super) fn sees_what_stands(token: &Token) -> bool {
    let had = token.permissions.as_ref();
    had.is_none_or(|had| {
        let all = [CONTENTS, DEPLOYMENTS, ISSUES, PULLS];
        all.iter().all(|needs| suffice(had, needs))
    })
}

fn suffice(had: &Permissions, needs: Needs) -> bool {
    let mut needs = needs.iter();
    needs.len() == 0 || needs.any(|(name, level)| had.get(*name).is_some_and(|had| had >= level))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::OPERATIONS;
    use super::*;

    #[test]
    fn every_operation_that_is_served_has_its_row() {
        let served = OPERATIONS.iter().flat_map(|(template, methods)| {
            let inner = template.strip_prefix("/repos/{owner}/{repo}");
            let path = inner.unwrap_or(template);
            let methods = methods.iter();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        let rows = TABLE.iter().map(|(operation, _)| (*operation).to_owned());
        assert_eq!(rows.collect::<BTreeSet<_>>(), served.collect());
        assert_eq!(TABLE.len(), TABLE.iter().collect::<BTreeSet<_>>().len());
    }
}
