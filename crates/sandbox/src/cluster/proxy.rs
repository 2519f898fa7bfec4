//! Services through the API server's proxy: a request reaches a pod that is ready.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::api::{Asked, Place};
use super::behaviour::{Visit, page};
use super::kinds::Resource;
use super::refusal::Refusal;
use super::state::State;
use super::store::Key;

/// `name` is `SERVICE:PORT`, or `SERVICE` where it has one port.
pub(super) fn visit(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
    below: &str,
) -> Result<Response, Refusal> {
    let (name, port) = name.split_once(':').unwrap_or((name, ""));
    let query: Vec<String> = asked
        .query
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut target = format!("/{below}");
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    let namespace = place.namespace.unwrap_or_default();
    page_of(state, namespace, name, port, target)
}

/// The page of a Service's port (its name or number) at a path with its query.
pub(super) fn page_of(
    state: &State,
    namespace: &str,
    name: &str,
    port: &str,
    path: String,
) -> Result<Response, Refusal> {
    let services = Resource::get("Service")?;
    let service = state.store.get(&Key::new("Service", namespace, name));
    let service = service.ok_or_else(|| Refusal::not_found(services, name))?;
    let port = find_port(service, port).ok_or_else(|| {
        Refusal::unavailable(format!("no service port {port} found for service {name:?}"))
    })?;
    let pod = endpoint(state, namespace, service).ok_or_else(|| {
        Refusal::unavailable(format!("no endpoints available for service {name:?}"))
    })?;
    let container = listener(&pod, &port["targetPort"]).ok_or_else(|| {
        let address = pod["status"]["podIP"].as_str().unwrap_or_default();
        let target = &port["targetPort"];
        Refusal::unavailable(format!(
            "error trying to reach service: dial tcp {address}:{target}: connect: connection refused"
        ))
    })?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let runs = state.runs.get(uid).map(|run| &run.containers);
    let run = runs.and_then(|all| all.get(container["name"].as_str().unwrap_or_default()));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let visit = Visit {
        namespace: text(&pod["metadata"]["namespace"]),
        pod: text(&pod["metadata"]["name"]),
        image: text(&container["image"]),
        revision: run.and_then(|run| run.revision.clone()),
        env: run.map(|run| run.env.clone()).unwrap_or_default(),
        path,
    };
    let reply = match &state.responder {
        Some(responder) => responder(&visit),
        None => page(&visit),
    };
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    Ok((status, [(CONTENT_TYPE, reply.content_type)], reply.body).into_response())
}

fn find_port<'a>(service: &'a Value, wanted: &str) -> Option<&'a Value> {
    let ports = service["spec"]["ports"].as_array()?;
    let number: Option<u64> = wanted.parse().ok();
    match (wanted, ports.as_slice()) {
        ("", [only]) => Some(only),
        _ => ports.iter().find(|port| {
            port["name"] == wanted || (number.is_some() && port["port"].as_u64() == number)
        }),
    }
}

/// A pod that is ready, of those that the service selects.
fn endpoint(state: &State, namespace: &str, service: &Value) -> Option<Value> {
    let selector = service["spec"]["selector"].as_object()?;
    let mut pods = state.store.list("Pod", Some(namespace));
    let ready = pods.find(|(_, pod)| {
        let labels = &pod["metadata"]["labels"];
        let mut selector = selector.iter();
        let conditions = pod["status"]["conditions"].as_array();
        pod["metadata"].get("deletionTimestamp").is_none()
            && selector.all(|(key, value)| labels.get(key) == Some(value))
            && conditions
                .into_iter()
                .flatten()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
    });
    ready.map(|(_, pod)| Value::clone(pod))
}

/// The container behind a port. One that declares no port is taken to listen on all.
fn listener<'a>(pod: &'a Value, target: &Value) -> Option<&'a Value> {
    let containers = pod["spec"]["containers"].as_array()?;
    let ports = |container: &'a Value| container["ports"].as_array().into_iter().flatten();
    let declared = containers.iter().find(|container| {
        ports(container).any(|port| port["containerPort"] == *target || port["name"] == *target)
    });
    declared.or_else(|| {
        containers
            .iter()
            .find(|container| ports(container).next().is_none())
    })
}
