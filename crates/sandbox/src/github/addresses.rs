//! Where a GitHub is: github.com, or an Enterprise server.

/// What an Enterprise server has before the paths of its REST API.
/// <https://docs.github.com/en/enterprise-server/rest/quickstart>
const API: &str = "/api/v3";
/// Its GraphQL is beside that.
/// <https://docs.github.com/en/enterprise-server/graphql/guides/forming-calls-with-graphql#the-graphql-endpoint>
const GRAPHQL: &str = "/api/graphql";

/// Operations that an Enterprise server does not have: of those that are served here, what GitHub's own descriptions of the
/// versions 3.17 to 3.19 lack (npm `@octokit/openapi` 23.0.2, `generated/ghes-*.json`).
const NOT_ON_ENTERPRISE: [&str; 1] = ["GET /attestations/{subject_digest}"];

/// Which GitHub it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edition {
    Public,
    EnterpriseServer,
}

/// The addresses that answers and payloads name.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    /// The base of the REST API.
    pub(super) api: String,
    /// The base of the pages that people see.
    pub(super) pages: String,
    pub(super) edition: Edition,
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// The REST API, with the path below its base.
    Rest(&'a str),
    GraphQl,
    /// A page for people, or nothing.
    Page,
}

impl Addresses {
    /// Those of a server that listens at `origin`, scheme and host with port.
    pub(super) fn of(edition: Edition, origin: &str) -> Self {
        let (api, pages) = match edition {
            Edition::Public => (origin.to_owned(), "https://github.com".to_owned()),
            Edition::EnterpriseServer => (format!("{origin}{API}"), origin.to_owned()),
        };
        Self {
            api,
            pages,
            edition,
        }
    }

    /// What the paths of the REST API begin with.
    pub(super) const fn prefix(&self) -> &'static str {
        match self.edition {
            Edition::Public => "",
            Edition::EnterpriseServer => API,
        }
    }

    /// What is at `path`.
    pub(super) fn place<'a>(&self, path: &'a str) -> Place<'a> {
        let graphql = match self.edition {
            Edition::Public => "/graphql",
            Edition::EnterpriseServer => GRAPHQL,
        };
        let below = path.strip_prefix(self.prefix());
        match below.filter(|below| below.starts_with('/')) {
            _ if path == graphql => Place::GraphQl,
            Some(below) => Place::Rest(below),
            None => Place::Page,
        }
    }

    /// Whether this GitHub has an operation of a repository, `METHOD template` without `/repos/{owner}/{repo}`.
    pub(super) fn has(&self, operation: &str) -> bool {
        self.edition == Edition::Public || !NOT_ON_ENTERPRISE.contains(&operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enterprise_server_has_its_api_below_its_pages() {
        let ours = Addresses::of(Edition::EnterpriseServer, "https://git.acme.test");
        assert_eq!(ours.api, "https://git.acme.test/api/v3");
        assert_eq!(ours.place("/api/v3/repos/a/b"), Place::Rest("/repos/a/b"));
        assert_eq!(ours.place("/api/graphql"), Place::GraphQl);
        for page in ["/repos/a/b", "/graphql", "/api/v3", "/api/v3x/repos/a/b"] {
            assert_eq!(ours.place(page), Place::Page, "{page}");
        }
        let public = Addresses::of(Edition::Public, "https://api.github.com");
        assert_eq!(public.place("/graphql"), Place::GraphQl);
        assert_eq!(public.place("/repos/a/b"), Place::Rest("/repos/a/b"));
    }
}
