//! What can go wrong, and what to do then.

use std::time::Duration;

use kube::client::AuthError;
use kube::config::KubeconfigError;
use kube::core::Status;
use preview_core::health::{Classified, FailureClass};
use preview_core::objects::ObjectName;
use preview_core::ownership::Foreign;

/// An operation on a cluster that failed. The text names the operation, its object and the next step, and never holds
/// a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no usable kubeconfig.
    #[error(
        "connect to the cluster: {0}; set KUBECONFIG to a file that names a cluster and an account"
    )]
    Configuration(String),
    /// Nobody answers at the server's address.
    #[error(
        "{operation}: cannot reach {server}: {reason}; check KUBECONFIG and that the cluster is up"
    )]
    Unreachable {
        /// What was tried, with its object.
        operation: String,
        /// The API server's URL.
        server: String,
        /// Why the last attempt failed.
        reason: String,
    },
    /// 401: the server does not know who we are.
    #[error(
        "{operation}: {server} does not accept our credentials: {reason}; renew the token or certificate in KUBECONFIG"
    )]
    Unauthorized {
        /// What was tried, with its object.
        operation: String,
        /// The API server's URL.
        server: String,
        /// The server's words.
        reason: String,
    },
    /// 403: the server knows us and does not let us, by RBAC or an admission policy.
    #[error(
        "{operation}: the cluster forbids it: {reason}; grant the account of KUBECONFIG this right, or use another account"
    )]
    Forbidden {
        /// What was tried, with its object.
        operation: String,
        /// The server's words, which name account, verb and resource.
        reason: String,
    },
    /// 404 where there must be something.
    #[error("{operation}: {reason}; {next}")]
    Absent {
        /// What was tried, with its object.
        operation: String,
        /// What is not there.
        reason: String,
        /// What to do.
        next: String,
    },
    /// The server refuses the request itself, and repeating it would not help: a field that is wrong or immutable.
    #[error("{operation}: the cluster refuses it ({code}): {reason}; correct the manifest")]
    Refused {
        /// What was tried, with its object.
        operation: String,
        /// HTTP status.
        code: u16,
        /// The server's words, which name the field.
        reason: String,
    },
    /// No useful answer within the time limit.
    #[error(
        "{operation}: no answer from {server} in {waited:.1?} and {attempts} attempts, the last: {reason}; try again later"
    )]
    Unavailable {
        /// What was tried, with its object.
        operation: String,
        /// The API server's URL.
        server: String,
        /// How long was tried.
        waited: Duration,
        /// How many requests were made.
        attempts: u32,
        /// Why the last attempt failed.
        reason: String,
    },
    /// Somebody else kept changing the object between our read and our write.
    #[error(
        "{operation}: given up after {attempts} attempts in {waited:.1?}: {reason}; run it again"
    )]
    Contended {
        /// What was tried, with its object.
        operation: String,
        /// How long was tried.
        waited: Duration,
        /// How many rounds of read and write.
        attempts: u32,
        /// What was in the way.
        reason: String,
    },
    /// Its deletion was asked for, and it is not gone.
    #[error(
        "{operation}: it is still there after {waited:.1?}: {reason}; clear that, and run it again"
    )]
    StillThere {
        /// What was tried, with its object.
        operation: String,
        /// How long was waited.
        waited: Duration,
        /// What holds it.
        reason: String,
    },
    /// The answer is not what the API promises.
    #[error(
        "{operation}: the answer is not what it should be: {detail}; check that {server} is a Kubernetes API server"
    )]
    Malformed {
        /// What was tried, with its object.
        operation: String,
        /// The API server's URL.
        server: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The namespace belongs to somebody else.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// What lies in no namespace has a name that we would give, and is somebody else's: it is neither written nor deleted.
    #[error(
        "{operation}: what has that name is not ours: {reason}; see whose it is, and delete it or give it another name"
    )]
    ForeignObject {
        /// What was tried, with its object.
        operation: String,
        /// How that is known.
        reason: String,
    },
    /// Deleting it would destroy what is not the preview's.
    #[error("{operation}: {object} is kept: {reason}, then run this again")]
    Kept {
        /// What was tried.
        operation: String,
        /// The object.
        object: ObjectName,
        /// What its deletion would destroy, and what to do.
        reason: String,
    },
    /// A workload of a target has no container of that name: applying would add one.
    #[error("set images of {workload}: it has no container {container:?}, only {}; correct the target in preview.toml", known.join(", "))]
    NoSuchContainer {
        /// The workload.
        workload: ObjectName,
        /// The container that was named.
        container: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// A kind for which the operation has no meaning, such as a Namespace among the objects of a wave.
    #[error("{operation}: {reason}")]
    Misuse {
        /// What was tried, with its object.
        operation: String,
        /// Why that cannot be.
        reason: String,
    },
}

/// What one failed request means for whoever sent it.
pub(crate) enum Meaning {
    /// 404.
    Absent(String),
    /// The precondition does not hold any more: read again.
    Conflict(String),
    /// The same request may be answered differently later; at least after this pause.
    Transient {
        reason: String,
        connection: bool,
        pause: Option<Duration>,
    },
    /// Repeating changes nothing.
    Final(Final),
}

pub(crate) enum Final {
    Unauthorized(String),
    Forbidden(String),
    Refused(u16, String),
    Malformed(String),
    Configuration(String),
}

pub(crate) fn meaning(error: &kube::Error) -> Meaning {
    match error {
        kube::Error::Api(status) => status_meaning(status),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            Meaning::Final(Final::Malformed(chain(error)))
        }
        kube::Error::Auth(_)
        | kube::Error::InferConfig(_)
        | kube::Error::InferKubeconfig(_)
        | kube::Error::RustlsTls(_)
        | kube::Error::TlsRequired => Meaning::Final(Final::Configuration(chain(error))),
        kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
            Meaning::Final(Final::Refused(0, chain(error)))
        }
        _ => Meaning::Transient {
            reason: chain(error),
            connection: true,
            pause: None,
        },
    }
}

pub(crate) fn status_meaning(status: &Status) -> Meaning {
    let reason = words(status);
    match status.code {
        404 => Meaning::Absent(reason),
        409 => Meaning::Conflict(reason),
        // The object behind the name is another one than the one we read.
        422 if has_cause(status, |cause| cause.field == "metadata.uid") => {
            Meaning::Conflict(reason)
        }
        // The namespace began to terminate after we looked: look again.
        403 if has_cause(status, |cause| cause.reason == "NamespaceTerminating") => {
            Meaning::Conflict(reason)
        }
        // A field that the schema does not know, in an applied object: the server's own fault only by its number.
        500 if status
            .message
            .contains("failed to create typed patch object") =>
        {
            Meaning::Final(Final::Refused(500, reason))
        }
        // Admission lost a race against another admission, "please try again".
        408 | 429 | 500 | 502 | 503 | 504 => Meaning::Transient {
            reason: format!("{} {reason}", status.code),
            connection: false,
            pause: asked_pause(status),
        },
        401 => Meaning::Final(Final::Unauthorized(reason)),
        403 => Meaning::Final(Final::Forbidden(reason)),
        code => Meaning::Final(Final::Refused(code, reason)),
    }
}

fn asked_pause(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn has_cause(status: &Status, wanted: impl Fn(&kube::core::response::StatusCause) -> bool) -> bool {
    status
        .details
        .as_ref()
        .is_some_and(|details| details.causes.iter().any(wanted))
}

/// The server's words; a proxy may answer with a page of HTML.
fn words(status: &Status) -> String {
    let text = one_line(&status.message);
    if text.is_empty() {
        status.reason.clone()
    } else {
        text
    }
}

/// The text on one line, and of bounded length.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(1000) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The error with its causes, each said once: hyper's own text of a refused connection is only "client error". Where
/// credentials are at the bottom of it, what may hold them is left out.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    // kube's wrapping says nothing that its cause does not.
    let error = match error.downcast_ref() {
        Some(kube::Error::Service(cause)) => cause.as_ref(),
        _ => error,
    };
    let mut causes = std::iter::successors(Some(error), |cause| cause.source());
    if let Some(text) = causes.clone().find_map(in_our_words) {
        return text;
    }
    let mut text = causes.next().map(ToString::to_string).unwrap_or_default();
    for cause in causes {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
    }
    text
}

/// What to say of an error whose own text would quote a kubeconfig or the output of a credential command, or says more
/// than it tells.
fn in_our_words(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    match error.downcast_ref() {
        Some(KubeconfigError::Parse(error)) => {
            return Some(format!("it is not a kubeconfig{}", place(error)));
        }
        Some(KubeconfigError::ReadConfig(error, path)) => {
            return Some(format!("{}: {error}", path.display()));
        }
        _ => {}
    }
    match error.downcast_ref()? {
        AuthError::AuthExecParse(error) => Some(format!(
            "the credential command of the kubeconfig did not print an ExecCredential{}",
            place(error)
        )),
        AuthError::AuthExecRun { out, .. } => Some(format!(
            "the credential command of the kubeconfig failed with {}: {}",
            out.status,
            one_line(&String::from_utf8_lossy(&out.stderr))
        )),
        _ => None,
    }
}

fn place(error: &serde_saphyr::Error) -> String {
    error.location().map_or_else(String::new, |place| {
        format!(" (line {}, column {})", place.line(), place.column())
    })
}

impl Classified for Error {
    fn class(&self) -> FailureClass {
        FailureClass::Cluster
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    fn status(code: u16, cause: Option<(&str, &str)>) -> Status {
        let causes = cause
            .into_iter()
            .map(|(reason, field)| StatusCause {
                reason: reason.into(),
                field: field.into(),
                message: String::new(),
            })
            .collect();
        Status::failure("words", "Reason")
            .with_code(code)
            .with_details(StatusDetails {
                name: String::new(),
                group: String::new(),
                kind: String::new(),
                uid: String::new(),
                causes,
                retry_after_seconds: 0,
            })
    }

    #[test]
    fn lost_preconditions_are_told_from_what_is_wrong_and_what_will_pass() {
        let said = |code, cause| match status_meaning(&status(code, cause)) {
            Meaning::Absent(_) => "absent",
            Meaning::Conflict(_) => "read again",
            Meaning::Transient { .. } => "try again",
            Meaning::Final(Final::Unauthorized(_)) => "credentials",
            Meaning::Final(Final::Forbidden(_)) => "rights",
            Meaning::Final(_) => "wrong",
        };
        assert_eq!(said(404, None), "absent");
        assert_eq!(said(409, None), "read again");
        assert_eq!(
            said(422, Some(("FieldValueInvalid", "metadata.uid"))),
            "read again"
        );
        assert_eq!(
            said(422, Some(("FieldValueInvalid", "spec.selector"))),
            "wrong"
        );
        assert_eq!(
            said(403, Some(("NamespaceTerminating", "metadata.namespace"))),
            "read again"
        );
        assert_eq!(said(403, None), "rights");
        assert_eq!(said(401, None), "credentials");
        assert_eq!(said(429, None), "try again");
        assert_eq!(said(503, None), "try again");
        assert_eq!(said(400, None), "wrong");
    }
}
