//! Where GitHub itself departs from its own description: the written allow-list.

/// What is let pass.
pub(super) enum Let {
    /// Answers with this status, though the operation does not declare it.
    Status(u16),
    /// This query parameter, though the operation does not declare it.
    Query(&'static str),
    /// `null` at a pointer that ends like this; `*` stands for a number.
    Null(&'static str),
    /// The empty text at a pointer that ends like this, where a URI is declared.
    EmptyUri(&'static str),
    /// This key at the root, though the schema does not declare it.
    Key(&'static str),
}

/// One exception.
pub(super) struct Exception {
    /// End of `METHOD template`, or the name of a webhook; empty for all of them.
    pub(super) operation: &'static str,
    pub(super) allow: Let,
    /// Why GitHub's real behaviour is not what the description says.
    pub(super) reason: &'static str,
}

const fn status(operation: &'static str, status: u16, reason: &'static str) -> Exception {
    Exception {
        operation,
        allow: Let::Status(status),
        reason,
    }
}

const fn null(operation: &'static str, at: &'static str, reason: &'static str) -> Exception {
    Exception {
        operation,
        allow: Let::Null(at),
        reason,
    }
}

const FORK_GONE: &str =
    "a deleted fork leaves its pull requests and runs without a head repository";
const UNPAGED: &str =
    "pages like the same list of an organisation; the description forgot the parameters";
const NO_TOKEN: &str = "every operation answers 401 to a missing or unknown token";

/// All exceptions.
pub(super) const EXCEPTIONS: &[Exception] = &[
    status(
        "",
        301,
        "every operation redirects from a repository's former name",
    ),
    status(
        "",
        307,
        "every operation redirects from a repository's former name",
    ),
    status("", 401, NO_TOKEN),
    status(
        "",
        403,
        "rate limits and missing rights can meet every operation",
    ),
    status(
        "",
        404,
        "what a token cannot see does not exist for it, whatever the operation",
    ),
    status("", 429, "secondary rate limits can meet every operation"),
    status(
        "",
        422,
        "validation of a body or a SHA fails in operations that declare only their success, such as PATCH of a label",
    ),
    status(
        "/versions/{package_version_id}",
        400,
        "a public version with more than 5,000 downloads cannot be deleted",
    ),
    null("", "/head/repo", FORK_GONE),
    null("", "/head_repository", FORK_GONE),
    null(
        "",
        "/labels/*/description",
        "a label without description has null, which the schema of the full pull request allows and the short one does not",
    ),
    Exception {
        operation: "",
        allow: Let::Key("/status"),
        reason: "every error's body repeats its status as text; only some of the schemas know",
    },
    Exception {
        operation: "",
        allow: Let::EmptyUri("target_url"),
        reason: "a deployment status without URL has the empty text",
    },
    Exception {
        operation: "",
        allow: Let::EmptyUri("environment_url"),
        reason: "a deployment status without URL has the empty text",
    },
    Exception {
        operation: "",
        allow: Let::EmptyUri("log_url"),
        reason: "a deployment status without URL has the empty text",
    },
    Exception {
        operation: "GET /users/{username}/packages/{package_type}/{package_name}/versions",
        allow: Let::Query("page"),
        reason: UNPAGED,
    },
    Exception {
        operation: "GET /users/{username}/packages/{package_type}/{package_name}/versions",
        allow: Let::Query("per_page"),
        reason: UNPAGED,
    },
];

impl Exception {
    fn holds_for(&self, operation: &str) -> bool {
        operation.ends_with(self.operation)
    }
}

fn any(operation: &str, allows: impl Fn(&Let) -> bool) -> bool {
    EXCEPTIONS
        .iter()
        .any(|e| e.holds_for(operation) && allows(&e.allow))
}

/// The list as text: what is let pass, where, and why.
pub(super) fn listed() -> Vec<String> {
    let line = |exception: &Exception| {
        let operation = match exception.operation {
            "" => "every operation and payload",
            operation => operation,
        };
        let allow = match exception.allow {
            Let::Status(status) => format!("status {status}"),
            Let::Query(name) => format!("query parameter {name}"),
            Let::Null(at) => format!("null at {at}"),
            Let::EmptyUri(at) => format!("an empty URI at {at}"),
            Let::Key(at) => format!("the key {at}"),
        };
        format!("{operation}: {allow}, because {}", exception.reason)
    };
    EXCEPTIONS.iter().map(line).collect()
}

pub(super) fn allows_status(operation: &str, status: u16) -> bool {
    any(
        operation,
        |allow| matches!(allow, Let::Status(s) if *s == status),
    )
}

pub(super) fn allows_query(operation: &str, name: &str) -> bool {
    any(
        operation,
        |allow| matches!(allow, Let::Query(n) if *n == name),
    )
}

pub(super) fn allows_null(operation: &str, at: &str) -> bool {
    any(
        operation,
        |allow| matches!(allow, Let::Null(end) if ends_like(at, end)),
    )
}

pub(super) fn allows_empty_uri(operation: &str, at: &str) -> bool {
    any(
        operation,
        |allow| matches!(allow, Let::EmptyUri(end) if ends_like(at, end)),
    )
}

pub(super) fn allows_key(operation: &str, at: &str) -> bool {
    any(
        operation,
        |allow| matches!(allow, Let::Key(key) if *key == at),
    )
}

fn ends_like(at: &str, end: &str) -> bool {
    let mut at = at.rsplit('/');
    end.trim_start_matches('/').rsplit('/').all(|wanted| {
        at.next().is_some_and(|given| match wanted {
            "*" => given.parse::<usize>().is_ok(),
            _ => wanted == given,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_has_a_reason_that_says_something() {
        assert!(
            EXCEPTIONS
                .iter()
                .all(|exception| exception.reason.len() > 20)
        );
    }

    #[test]
    fn pointers_are_compared_from_their_end() {
        assert!(ends_like("/0/head/repo", "/head/repo"));
        assert!(ends_like(
            "/pull_request/labels/3/description",
            "/labels/*/description"
        ));
        assert!(!ends_like("/ahead/repo", "/head/repo"));
    }
}
