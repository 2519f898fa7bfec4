//! What containers wrote.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::api::{Asked, Place};
use super::node::Container;
use super::refusal::Refusal;
use super::state::State;

pub(super) fn log(
    state: &mut State,
    asked: &Asked,
    place: &Place<'_>,
    name: &str,
) -> Result<Response, Refusal> {
    asked.only(&["container", "previous", "tailLines", "limitBytes"])?;
    let pod = state.store.get(&place.key(name));
    let pod = pod.ok_or_else(|| Refusal::not_found(place.resource, name))?;
    let wanted = wanted(pod, name, asked.parameter("container"))?;
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let container = state
        .runs
        .get(uid)
        .and_then(|run| run.containers.get(wanted));
    let previous = asked.parameter("previous") == Some("true");
    let lines = lines(container, previous, wanted, name)?;
    let number = |key: &str| {
        asked
            .parameter(key)
            .and_then(|text| text.parse::<usize>().ok())
    };
    let skipped = number("tailLines").map_or(0, |tail| lines.len().saturating_sub(tail));
    let mut text: String = lines
        .iter()
        .skip(skipped)
        .map(|line| format!("{line}\n"))
        .collect();
    if let Some(most) = number("limitBytes") {
        let most = (0..=most.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(most.unwrap_or(0));
    }
    Ok(([(CONTENT_TYPE, "text/plain")], text).into_response())
}

/// The container that is asked about: the only one, where none is named.
fn wanted<'a>(pod: &'a Value, name: &str, asked: Option<&'a str>) -> Result<&'a str, Refusal> {
    let lists = ["initContainers", "containers"].into_iter();
    let containers = lists
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten();
    let names: Vec<&str> = containers
        .filter_map(|container| container["name"].as_str())
        .collect();
    match (asked, names.as_slice()) {
        (Some(asked), names) if names.contains(&asked) => Ok(asked),
        (Some(asked), _) => {
            let message = format!("container {asked} is not valid for pod {name}");
            Err(Refusal::bad_request(message))
        }
        (None, [only]) => Ok(only),
        (None, names) => Err(Refusal::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            names.join(" ")
        ))),
    }
}

fn lines<'a>(
    container: Option<&'a Container>,
    previous: bool,
    name: &str,
    pod: &str,
) -> Result<&'a [String], Refusal> {
    let found = container.and_then(|container| {
        let log = if previous {
            &container.previous
        } else {
            &container.log
        };
        log.as_deref()
    });
    found.ok_or_else(|| {
        if previous {
            let message =
                format!("previous terminated container {name:?} in pod {pod:?} not found");
            return Refusal::bad_request(message);
        }
        let waiting = container.and_then(|c| c.state["waiting"]["reason"].as_str());
        let reason = match waiting.unwrap_or("ContainerCreating") {
            "ErrImagePull" => "image can't be pulled",
            "ImagePullBackOff" => "trying and failing to pull image",
            other => other,
        };
        Refusal::bad_request(format!(
            "container {name:?} in pod {pod:?} is waiting to start: {reason}"
        ))
    })
}
