//! What goes over the wire, where a server misbehaves in ways that the sandbox and a real one do not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use preview_core::health::{FailureClass, Rollout};
use preview_core::names::{Fence, NamespaceName, RepositoryId};
use preview_core::objects::{Kind, Manifest, ObjectName};
use preview_core::ownership::{Claimant, Owner};
use preview_k8s::{Change, Cluster, Error, Fenced, NamespaceChange, Settings, Timeouts};
use serde_json::{Value, json};
use wiremock::matchers::{
    any, body_partial_json, header, method, path, query_param, query_param_is_missing,
};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

mod watches;
mod writes;

const TOKEN: &str = "correct-horse";
const NAMESPACE: &str = "/api/v1/namespaces/preview-pr-7";
const SETTINGS: &str = "/api/v1/namespaces/preview-pr-7/configmaps/settings";

/// A server that answers as it is told, and us.
struct Stage {
    server: MockServer,
    us: Cluster,
    namespace: NamespaceName,
    claimant: Claimant,
}

fn patient() -> Timeouts {
    Timeouts {
        operation: Duration::from_secs(20),
        ..Timeouts::default()
    }
}

fn hurried() -> Timeouts {
    Timeouts {
        connect: Duration::from_millis(400),
        attempt: Duration::from_millis(400),
        operation: Duration::from_millis(900),
        first_contact: Duration::from_millis(900),
    }
}

impl Stage {
    async fn new(timeouts: Timeouts) -> Self {
        let server = MockServer::start().await;
        Self {
            us: connect(&server.uri(), timeouts).await.unwrap(),
            server,
            namespace: "preview-pr-7".parse().unwrap(),
            claimant: Claimant {
                owner: Owner {
                    repository: RepositoryId(42),
                    subject: "pr-7".parse().unwrap(),
                },
                repository: "acme/shop".parse().unwrap(),
                head: "1".repeat(40).parse().unwrap(),
                fence: Fence {
                    run: 100,
                    attempt: 1,
                },
            },
        }
    }

    fn told(&self, error: &Error) -> String {
        let told = error.to_string().replace(&self.server.uri(), "SERVER");
        assert!(!told.contains(TOKEN), "{told}");
        told
    }

    /// The Namespace as the server holds it.
    fn of_the_run(&self, run: u64) -> Value {
        let mut claimant = self.claimant.clone();
        claimant.fence.run = run;
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "uid": "11111111-1111-4111-8111-111111111111",
                "resourceVersion": "7",
                "creationTimestamp": "2026-11-28T09:00:00Z",
                "labels": claimant.owner.labels(),
                "annotations": claimant.annotations(),
            },
        })
    }

    async fn always(&self, request: MockBuilder, answer: ResponseTemplate) {
        request
            .respond_with(answer)
            .with_priority(9)
            .mount(&self.server)
            .await;
    }

    /// Answers the next request so, before any that is always answered otherwise.
    async fn once(&self, request: MockBuilder, answer: ResponseTemplate) {
        let mock = request.respond_with(answer).up_to_n_times(1);
        mock.expect(1).mount(&self.server).await;
    }

    async fn requests(&self, verb: &str, at: &str) -> usize {
        let all = self.server.received_requests().await.unwrap();
        let matching = |request: &&wiremock::Request| {
            request.method.as_str() == verb && request.url.path() == at
        };
        all.iter().filter(matching).count()
    }

    async fn read(&self) -> Error {
        self.us.namespace(&self.namespace).await.unwrap_err()
    }

    async fn apply(&self) -> Result<Fenced<Vec<Change>>, Error> {
        let data = json!({ "data": { "greeting": "hello" } });
        let wave = vec![Manifest::new(
            Kind::ConfigMap,
            "settings",
            &BTreeMap::new(),
            data,
        )];
        let applied = self.us.apply(&self.claimant, &self.namespace, wave).await?;
        Ok(match applied {
            Fenced::Done(done) => {
                Fenced::Done(done.into_iter().map(|(_, change)| change).collect())
            }
            Fenced::Superseded { by } => Fenced::Superseded { by },
            Fenced::Gone => Fenced::Gone,
        })
    }
}

async fn connect(server: &str, timeouts: Timeouts) -> Result<Cluster, Error> {
    connect_by(&kubeconfig(server), timeouts).await
}

/// What a credential command prints goes nowhere but into requests.
#[tokio::test]
async fn a_credential_command_that_fails_is_told_without_its_output() {
    let connected = async |script: &str| {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script],
            "interactiveMode": "Never",
        });
        let by_token = format!(r#"{{"token":"{TOKEN}"}}"#);
        let text = kubeconfig("http://127.0.0.1:1");
        let text = text.replace(&by_token, &json!({ "exec": exec }).to_string());
        let us = connect_by(&text, hurried()).await;
        let failed = match us {
            Ok(us) => us
                .namespace(&"preview-pr-7".parse().unwrap())
                .await
                .unwrap_err(),
            Err(error) => error,
        };
        assert!(!failed.to_string().contains(TOKEN), "{failed}");
        failed.to_string()
    };
    let fails = format!("echo {TOKEN}; echo no login >&2; exit 3");
    insta::assert_snapshot!(connected(&fails).await, @"connect to the cluster: http://127.0.0.1:1/: the credential command of the kubeconfig failed with exit status: 3: no login; set KUBECONFIG to a file that names a cluster and an account");
    let garbles = format!("echo '{TOKEN}: [{TOKEN}'");
    insta::assert_snapshot!(connected(&garbles).await, @"connect to the cluster: http://127.0.0.1:1/: the credential command of the kubeconfig did not print an ExecCredential (line 1, column 16); set KUBECONFIG to a file that names a cluster and an account");
}

async fn connect_by(text: &str, timeouts: Timeouts) -> Result<Cluster, Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let connected = Cluster::connect(Settings {
        kubeconfig: Some(file.path().to_owned()),
        manager: "preview-test",
        timeouts,
    });
    connected.await.map_err(|error| match error {
        Error::Configuration(text) => {
            Error::Configuration(text.replace(&file.path().display().to_string(), "FILE"))
        }
        other => other,
    })
}

fn kubeconfig(server: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "u", "user": { "token": TOKEN } }],
        "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
        "current-context": "x",
    });
    config.to_string()
}

fn get(at: &str) -> MockBuilder {
    Mock::given(method("GET")).and(path(at))
}

fn patch(at: &str) -> MockBuilder {
    Mock::given(method("PATCH")).and(path(at))
}

fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// A failure in Kubernetes' own words.
fn status(code: u16, reason: &str, message: &str, details: Value) -> ResponseTemplate {
    ResponseTemplate::new(code).set_body_json(json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }))
}

fn absent() -> ResponseTemplate {
    status(404, "NotFound", "not found", json!({}))
}

fn settings(version: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings",
            "uid": "22222222-2222-4222-8222-222222222222",
            "resourceVersion": version,
        },
        "data": { "greeting": "good evening" },
    })
}

#[tokio::test]
async fn the_token_is_sent_and_never_shown() {
    let stage = Stage::new(patient()).await;
    let with_token = get(NAMESPACE).and(header("authorization", format!("Bearer {TOKEN}")));
    stage.always(with_token, ok(&stage.of_the_run(100))).await;
    assert!(
        stage
            .us
            .namespace(&stage.namespace)
            .await
            .unwrap()
            .is_some()
    );
    assert!(!format!("{:?}", stage.us).contains(TOKEN));
}

#[tokio::test]
async fn unknown_credentials_are_told_at_once() {
    let stage = Stage::new(patient()).await;
    let answer = status(401, "Unauthorized", "Unauthorized", json!({}));
    stage.always(get(NAMESPACE), answer).await;
    let error = stage.read().await;
    insta::assert_snapshot!(stage.told(&error), @"read Namespace/preview-pr-7: SERVER does not accept our credentials: Unauthorized; renew the token or certificate in KUBECONFIG");
    assert_eq!(stage.requests("GET", NAMESPACE).await, 1);
}

#[tokio::test]
async fn missing_rights_are_told_at_once() {
    let stage = Stage::new(patient()).await;
    let message = r#"namespaces "preview-pr-7" is forbidden: User "system:serviceaccount:ci:deploy" cannot get resource "namespaces" in API group "" in the namespace "preview-pr-7""#;
    let answer = status(403, "Forbidden", message, json!({ "kind": "namespaces" }));
    stage.always(get(NAMESPACE), answer).await;
    let error = stage.read().await;
    insta::assert_snapshot!(stage.told(&error), @r#"read Namespace/preview-pr-7: the cluster forbids it: namespaces "preview-pr-7" is forbidden: User "system:serviceaccount:ci:deploy" cannot get resource "namespaces" in API group "" in the namespace "preview-pr-7"; grant the account of KUBECONFIG this right, or use another account"#);
    assert_eq!(stage.requests("GET", NAMESPACE).await, 1);
}

#[tokio::test]
async fn a_server_that_is_not_itself_is_asked_again() {
    let stage = Stage::new(patient()).await;
    stage
        .once(
            get(NAMESPACE),
            status(
                500,
                "InternalError",
                "etcdserver: leader changed",
                json!({}),
            ),
        )
        .await;
    stage
        .once(
            get(NAMESPACE),
            ResponseTemplate::new(502).set_body_string("<html>Bad gateway</html>"),
        )
        .await;
    stage
        .always(get(NAMESPACE), ok(&stage.of_the_run(100)))
        .await;
    let read = stage.us.namespace(&stage.namespace).await.unwrap();
    assert!(stage.claimant.still_owns(&read.unwrap()));
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let stage = Stage::new(patient()).await;
    let busy = status(
        429,
        "TooManyRequests",
        "busy",
        json!({ "retryAfterSeconds": 1 }),
    );
    stage.once(get(NAMESPACE), busy).await;
    stage
        .always(get(NAMESPACE), ok(&stage.of_the_run(100)))
        .await;
    let started = Instant::now();
    stage.us.namespace(&stage.namespace).await.unwrap().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_that_stays_broken_is_given_up_with_its_last_words() {
    let stage = Stage::new(hurried()).await;
    let page = format!(
        "<html>\n<h1>Maintenance</h1>{}</html>",
        "<p>soon</p>".repeat(500)
    );
    stage
        .always(
            get(NAMESPACE),
            ResponseTemplate::new(503).set_body_string(page),
        )
        .await;
    let error = stage.read().await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    let told = stage.told(&error);
    assert!(told.contains("<h1>Maintenance</h1>"), "{told}");
    assert!(told.len() < 1400, "a page is cut: {}", told.len());
    assert!(told.ends_with("; try again later"), "{told}");
    assert!(stage.requests("GET", NAMESPACE).await > 1);
}

#[tokio::test]
async fn a_page_in_place_of_an_object_is_told() {
    let stage = Stage::new(patient()).await;
    let page = ResponseTemplate::new(200).set_body_string("<html>Sign in</html>");
    stage.always(get(NAMESPACE), page).await;
    let error = stage.read().await;
    insta::assert_snapshot!(stage.told(&error), @"read Namespace/preview-pr-7: the answer is not what it should be: Error deserializing response: expected value at line 1 column 1; check that SERVER is a Kubernetes API server");
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for_without_end() {
    let stage = Stage::new(hurried()).await;
    let answer = ok(&stage.of_the_run(100)).set_delay(Duration::from_secs(60));
    stage.always(get(NAMESPACE), answer).await;
    let started = Instant::now();
    let error = stage.read().await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(stage.told(&error).contains("no answer within"), "{error}");
}

#[tokio::test]
async fn an_answer_that_hangs_once_is_asked_for_again() {
    let stage = Stage::new(Timeouts {
        attempt: Duration::from_millis(300),
        ..patient()
    })
    .await;
    let late = ok(&stage.of_the_run(100)).set_delay(Duration::from_secs(60));
    stage.once(get(NAMESPACE), late).await;
    stage
        .always(get(NAMESPACE), ok(&stage.of_the_run(100)))
        .await;
    assert!(
        stage
            .us
            .namespace(&stage.namespace)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn an_address_where_nobody_is_is_told_soon() {
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let timeouts = Timeouts {
        first_contact: Duration::from_millis(800),
        ..Timeouts::default()
    };
    let us = connect(&server, timeouts).await.unwrap();
    let started = Instant::now();
    let error = us
        .namespace(&"preview-pr-7".parse().unwrap())
        .await
        .unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    insta::assert_snapshot!(error.to_string().replace(&server, "SERVER"), @"read Namespace/preview-pr-7: cannot reach SERVER: client error (Connect): tcp connect error: Connection refused (os error 111); check KUBECONFIG and that the cluster is up");
}

#[tokio::test]
async fn a_kubeconfig_that_is_none_is_told() {
    let refused = async |text: &str| {
        let error = connect_by(text, patient()).await.unwrap_err();
        assert!(!error.to_string().contains(TOKEN), "{error}");
        error.to_string()
    };
    let broken = format!("users:\n- name: u\n  user: [{{ token: {TOKEN} }}");
    insta::assert_snapshot!(refused(&broken).await, @"connect to the cluster: FILE: it is not a kubeconfig (line 3, column 9); set KUBECONFIG to a file that names a cluster and an account");
    insta::assert_snapshot!(refused("").await, @"connect to the cluster: FILE: failed to determine current context; set KUBECONFIG to a file that names a cluster and an account");
    let no_context = kubeconfig("http://127.0.0.1:1")
        .replace(r#""current-context":"x""#, r#""current-context":"y""#);
    insta::assert_snapshot!(refused(&no_context).await, @"connect to the cluster: FILE: failed to load current context: y; set KUBECONFIG to a file that names a cluster and an account");
    let no_address = kubeconfig("not an address");
    insta::assert_snapshot!(refused(&no_address).await, @"connect to the cluster: FILE: failed to parse cluster url: invalid uri character; set KUBECONFIG to a file that names a cluster and an account");
    let absent = Cluster::connect(Settings {
        kubeconfig: Some("/nowhere/kubeconfig".into()),
        ..Settings::inferred("preview-test")
    });
    insta::assert_snapshot!(absent.await.unwrap_err(), @"connect to the cluster: /nowhere/kubeconfig: No such file or directory (os error 2); set KUBECONFIG to a file that names a cluster and an account");
}

#[tokio::test]
async fn a_page_without_end_is_not_read() {
    let stage = Stage::new(patient()).await;
    let at = "/api/v1/namespaces/preview-pr-7/services/web:8080/proxy/big";
    let large = ResponseTemplate::new(200).set_body_string("a".repeat(1024 * 1024 + 1));
    stage.always(get(at), large).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let page = stage
        .us
        .page(&stage.namespace, "web", 8080, "/big", deadline)
        .await;
    insta::assert_snapshot!(stage.told(&page.unwrap_err()), @"fetch /big of Service/web in preview-pr-7: the answer is not what it should be: the page is larger than 1048576 bytes; check that SERVER is a Kubernetes API server");
}
