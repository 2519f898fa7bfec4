//! What the containers of the cluster do, which no image can tell here.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What the containers of an image do once they are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// What is usual: a container of a pod that restarts always runs and is ready, any other ends well. It writes
    /// these lines.
    Fine {
        /// Lines of its log.
        log: Vec<String>,
    },
    /// It ends by itself at once, each time.
    Crash {
        /// Its exit code.
        exit_code: i32,
        /// Lines of its log, in which `$(NAME)` is a variable of its environment.
        log: Vec<String>,
    },
    /// It is ended for using more memory than its limit, each time.
    OutOfMemory,
    /// It runs and is never ready; a container of a Job runs and never ends.
    NeverReady,
    /// Its node never gets to starting it.
    NeverStarts,
}

/// A request that reaches a container through the API server's service proxy.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// The container's image as its pod names it.
    pub image: String,
    /// The commit that the image says it was built from, where the registry is known and the image says so.
    pub revision: Option<String>,
    /// The container's environment as it was when it started.
    pub env: BTreeMap<String, String>,
    /// Path and query, with the slash that it begins with.
    pub path: String,
}

/// What a container answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// Answers for all containers.
pub type Responder = Arc<dyn Fn(&Visit) -> Reply + Send + Sync>;

/// What an application answers that shows which commit it is, and in which environment, and nothing else: at `/`. It
/// is alive and ready at `/healthz` and `/ready`.
pub(super) fn page(visit: &Visit) -> Reply {
    let plain = |status, body: &str| Reply {
        status,
        content_type: "text/plain; charset=utf-8".to_owned(),
        body: body.to_owned(),
    };
    match visit.path.split('?').next().unwrap_or_default() {
        "/" => {}
        "/healthz" => return plain(200, "alive\n"),
        "/ready" => return plain(200, "ready\n"),
        _ => return plain(404, ""),
    }
    let environment = visit.env.get("ENV").map_or("unknown", String::as_str);
    let revision = visit.revision.as_deref().unwrap_or("unknown");
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{image}</title>\n<h1>{image}</h1>\n\
         <p>Environment: <b id=\"environment\">{}</b></p>\n\
         <p>Commit: <code id=\"revision\">{}</code></p>\n",
        escaped(environment),
        escaped(revision),
        image = escaped(&visit.image),
    );
    Reply {
        status: 200,
        content_type: "text/html; charset=utf-8".to_owned(),
        body,
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
