//! Writes: what is meanwhile true, and what becomes of an answer that was lost.

use crate::*;

#[tokio::test]
async fn a_faster_writer_sends_us_back_to_the_fence() {
    let lost = [
        status(409, "Conflict", "the object has been modified", json!({})),
        status(
            422,
            "Invalid",
            "uid mismatch",
            json!({ "causes": [{
                "reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid",
            }]}),
        ),
    ];
    for lost in lost {
        let stage = Stage::new(patient()).await;
        stage
            .always(get(NAMESPACE), ok(&stage.of_the_run(100)))
            .await;
        stage.once(get(SETTINGS), ok(&settings("1"))).await;
        stage.always(get(SETTINGS), ok(&settings("2"))).await;
        let at = |version: &str| {
            let metadata = json!({ "metadata": { "resourceVersion": version } });
            patch(SETTINGS).and(body_partial_json(metadata))
        };
        stage.once(at("1"), lost).await;
        stage.once(at("2"), ok(&settings("3"))).await;
        assert_eq!(
            stage.apply().await.unwrap(),
            Fenced::Done(vec![Change::Unchanged])
        );
        assert_eq!(
            stage.requests("GET", NAMESPACE).await,
            2,
            "the fence was confirmed each time"
        );
    }
}

#[tokio::test]
async fn a_run_that_became_older_between_two_attempts_writes_nothing_more() {
    let stage = Stage::new(patient()).await;
    stage.once(get(NAMESPACE), ok(&stage.of_the_run(100))).await;
    stage
        .always(get(NAMESPACE), ok(&stage.of_the_run(101)))
        .await;
    stage.always(get(SETTINGS), ok(&settings("1"))).await;
    stage
        .once(
            patch(SETTINGS),
            status(409, "Conflict", "modified", json!({})),
        )
        .await;
    let by = Some(Fence {
        run: 101,
        attempt: 1,
    });
    assert_eq!(stage.apply().await.unwrap(), Fenced::Superseded { by });
}

#[tokio::test]
async fn a_namespace_that_begins_to_terminate_meanwhile_is_noticed() {
    let stage = Stage::new(patient()).await;
    let mut leaving = stage.of_the_run(100);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    stage.once(get(NAMESPACE), ok(&stage.of_the_run(100))).await;
    stage.always(get(NAMESPACE), ok(&leaving)).await;
    stage.always(get(SETTINGS), absent()).await;
    let refused = status(
        403,
        "Forbidden",
        "because it is being terminated",
        json!({ "causes": [{
            "reason": "NamespaceTerminating", "message": "", "field": "metadata.namespace",
        }]}),
    );
    stage.once(patch(SETTINGS), refused).await;
    assert_eq!(stage.apply().await.unwrap(), Fenced::Gone);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_found_done() {
    let stage = Stage::new(patient()).await;
    stage
        .always(get(NAMESPACE), ok(&stage.of_the_run(100)))
        .await;
    stage.once(get(SETTINGS), absent()).await;
    stage.always(get(SETTINGS), ok(&settings("9"))).await;
    let must_be_absent = json!({ "metadata": { "resourceVersion": "1" } });
    let create = || patch(SETTINGS).and(body_partial_json(&must_be_absent));
    stage.once(create(), ResponseTemplate::new(504)).await;
    stage
        .once(create(), status(409, "Conflict", "modified", json!({})))
        .await;
    stage.once(patch(SETTINGS), ok(&settings("9"))).await;
    assert_eq!(
        stage.apply().await.unwrap(),
        Fenced::Done(vec![Change::Unchanged])
    );
}

#[tokio::test]
async fn an_object_that_others_never_leave_alone_is_given_up_by_name() {
    let stage = Stage::new(hurried()).await;
    stage
        .always(get(NAMESPACE), ok(&stage.of_the_run(100)))
        .await;
    stage.always(get(SETTINGS), ok(&settings("1"))).await;
    stage
        .always(
            patch(SETTINGS),
            status(409, "Conflict", "the object has been modified", json!({})),
        )
        .await;
    let error = stage.apply().await.unwrap_err();
    assert!(matches!(error, Error::Contended { .. }), "{error:?}");
    let told = stage.told(&error);
    assert!(
        told.starts_with("apply ConfigMap/settings in preview-pr-7: given up after"),
        "{told}"
    );
    assert!(
        told.ends_with("the object has been modified; run it again"),
        "{told}"
    );
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_told_as_not_ours() {
    let stage = Stage::new(patient()).await;
    stage
        .always(get(NAMESPACE), ok(&stage.of_the_run(100)))
        .await;
    stage
        .once(patch(NAMESPACE), ResponseTemplate::new(502))
        .await;
    stage
        .once(
            patch(NAMESPACE),
            status(409, "Conflict", "modified", json!({})),
        )
        .await;
    let read = stage.us.namespace(&stage.namespace).await.unwrap().unwrap();
    let change = NamespaceChange::annotate([("a".to_owned(), "b".to_owned())]);
    let changed = stage.us.change_namespace(&read, &change).await.unwrap();
    assert_eq!(
        changed, None,
        "whoever reads again sees that it was written"
    );
}
